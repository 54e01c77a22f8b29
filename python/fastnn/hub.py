"""Models in the layout of the Hugging Face Hub: `model.safetensors`, `config.json`, a card.

Folders need nothing but fastnn; reading from and writing to the Hub needs huggingface-hub (extra
`[hub]`), which is imported when used.
"""

from __future__ import annotations

import json
import os
from typing import Any

from fastnn import _core
from fastnn.base.absent import answer_missing
from fastnn.base.arguments import hints_arguments, local_path
from fastnn.base.atomic import write_bytes
from fastnn.errors import FormatError
from fastnn.files.native import load_model, save_model
from fastnn.models import Model

__all__ = ["load_pretrained", "push_to_hub", "save_pretrained"]

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"

#: Seconds that the Hub has for a first answer.
WAIT = 5.0


@hints_arguments
def save_pretrained(model: Any, folder: Any, *, card: str | None = None) -> list[str]:
    """Writes a model as the Hub lays models out.

    `model.safetensors` is fastnn's own file, with layers and inference graph; `config.json` shows
    what other tools ask for: the library, its version, inputs, outputs and layers.

    Args:
        model: A built model.
        folder: Where the files go; it is made where there is none.
        card: The text of `README.md`; None writes a short one unless there is one.

    Returns:
        The names of the files that were written.

    Raises:
        ValueError: The model is not built.
        OSError: A file cannot be written.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(1)])
        >>> fastnn.hub.save_pretrained(model, "saved")
        ['model.safetensors', 'config.json', 'README.md']
        >>> fastnn.hub.load_pretrained("saved").count_params()
        4
    """
    if not isinstance(model, Model):
        raise ValueError(
            f"model is a {type(model).__name__}, wanted a fastnn model\n"
            "  hint: of an estimator save estimator.model_"
        )
    place = local_path(folder)
    os.makedirs(place, exist_ok=True)
    save_model(model, os.path.join(place, WEIGHTS))
    config = {
        "library_name": "fastnn",
        "fastnn_version": _core.info()["version"],
        "model_type": type(model).__name__,
        "name": model.name,
        "parameters": model.count_params(),
        "inputs": _shapes(getattr(model, "inputs", None)),
        "outputs": _shapes(getattr(model, "outputs", None)),
        "layers": json.loads(model.to_json()),
    }
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    write_bytes(os.path.join(place, CONFIG), text.encode("utf-8", "replace"))
    written = [WEIGHTS, CONFIG]
    at = os.path.join(place, CARD)
    if card is not None or not os.path.exists(at):
        write_bytes(at, (card if card is not None else _card(config)).encode())
        written.append(CARD)
    return written


def _shapes(ends: Any) -> list[dict[str, Any]] | None:
    if not ends:
        return None
    return [
        {"shape": [d if isinstance(d, int) else None for d in e.shape], "dtype": str(e.dtype)}
        for e in ends
    ]


def _card(config: dict[str, Any]) -> str:
    return (
        "---\nlibrary_name: fastnn\n---\n\n"
        f"# {config['name']}\n\n"
        f"A {config['model_type']} model of {config['parameters']:,} weights, made with fastnn "
        f"{config['fastnn_version']}.\n\n"
        "Say here what it was trained on, what it is for, and what it must not be used for.\n"
    )


def _needed(what: str) -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.constants  # loaded when asked for
    except ImportError:
        raise ImportError(
            f"hub.{what} needs huggingface-hub, which is not installed\n"
            '  hint: pip install "fastnn-rs[hub]"'
        ) from None
    return huggingface_hub


def _reach(hub: Any, name: str, endpoint: str | None) -> None:
    """Asks the Hub for a sign of life, once: its library asks six times, for half a minute."""
    address = endpoint or hub.constants.ENDPOINT
    try:
        hub.get_session().head(address, timeout=WAIT)  # through the proxies that are set
    except Exception as error:  # classes of whichever HTTP library the Hub's uses
        reason = str(error).split("\n")[0] or type(error).__name__
        raise ConnectionError(
            f"{name!r} is neither a folder here nor in the Hub's cache, and {address} cannot be "
            f"reached: {reason}\n"
            "  hint: copy the repository here and give the path of its folder; behind a proxy set "
            "HTTPS_PROXY, and HF_ENDPOINT names a mirror"
        ) from error


def load_pretrained(
    source: Any,
    *,
    revision: str | None = None,
    local_files_only: bool = False,
    custom_objects: dict[str, Any] | None = None,
    compile: bool = False,
    **download: Any,
) -> Any:
    """The model of a folder, or of a repository on the Hub.

    No code is read from either: fastnn's files hold data alone. What is downloaded is kept in the
    Hub's cache; with `local_files_only` nothing but that cache is looked at.

    Args:
        source: A folder that holds `model.safetensors`, or the name of a repository: "owner/name".
        revision: The branch, tag or commit; for anything you rely on name the commit.
        local_files_only: Whether nothing is downloaded.
        custom_objects: Classes and functions by name, for what fastnn does not know.
        compile: Whether the model is compiled as it was when it was saved.
        **download: Further arguments of `huggingface_hub.hf_hub_download`, such as `token` and
            `cache_dir`.

    Returns:
        The model.

    Raises:
        ConnectionError: The Hub cannot be reached, and its cache has no such file.
        FileNotFoundError: The folder has no such file.
        FormatError: The file is no model of fastnn.
        ImportError: huggingface-hub is not installed.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(1)])
        >>> files = fastnn.hub.save_pretrained(model, "mine")
        >>> fastnn.hub.load_pretrained("mine").layers[-1].units
        1
    """
    place = local_path(source)
    if os.path.isdir(place):
        path = os.path.join(place, WEIGHTS)
        if not os.path.isfile(path):
            raise FileNotFoundError(
                f"the folder {place!r} has no {WEIGHTS}\n"
                "  hint: fastnn.hub.save_pretrained(model, folder) writes it"
            )
    elif place.count("/") == 1 and not place.startswith((".", "/", "~")):
        download |= {"revision": revision, "local_files_only": local_files_only}
        hub = _needed("load_pretrained")
        if not (local_files_only or hub.constants.HF_HUB_OFFLINE):
            where = {
                k: download[k] for k in ("cache_dir", "repo_type", "revision") if k in download
            }
            if not isinstance(hub.try_to_load_from_cache(place, WEIGHTS, **where), str):
                _reach(hub, place, download.get("endpoint"))
        try:
            path = hub.hf_hub_download(place, WEIGHTS, **download)
        except Exception as error:  # classes of the Hub's and of its HTTP library
            error.add_note(
                f"  {place!r} is no folder here, so the Hub was asked for it\n"
                "  hint: the path of the folder from os.getcwd() on, or the name on the Hub; "
                "local_files_only=True asks its cache alone"
            )
            raise
    else:
        raise FileNotFoundError(
            f"{place!r} is neither a folder nor the name of a repository\n"
            '  hint: a folder that holds model.safetensors, or "owner/name"'
        )
    try:
        return load_model(path, custom_objects=custom_objects, compile=compile)
    except FormatError as error:
        error.add_note(f"  in {WEIGHTS} of {place}; other libraries write files of that name too")
        raise


def push_to_hub(
    model: Any, repo_id: str, *, private: bool = True, message: str = "Add the model", **more: Any
) -> str:
    """Writes a model to a repository on the Hub, which is made where there is none.

    Args:
        model: A built model.
        repo_id: The name of the repository: "owner/name".
        private: Whether a new repository is seen by its owner alone.
        message: Of the commit.
        **more: `token` and `card`.

    Returns:
        The address of the commit.

    Raises:
        ImportError: huggingface-hub is not installed.
        ValueError: The model is not built.

    Example:
        >>> fastnn.hub.push_to_hub(model, "me/digits")  # doctest: +SKIP
    """
    import tempfile

    hub = _needed("push_to_hub")
    api = hub.HfApi(token=more.get("token"))
    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(model, folder, card=more.get("card"))
        api.create_repo(repo_id, private=private, exist_ok=True)
        return str(api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=message))


answer_missing(globals())

"""A FastAPI app around one profile file: the form at `/`, the report at `/report`.

FastAPI and uvicorn are imported when used (extra `serve`).
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from fastnn.exit_strategy.catalogue import LANGUAGES, text
from fastnn.exit_strategy.errors import ExitError, Issue, unwritable
from fastnn.exit_strategy.evaluation import evaluate
from fastnn.exit_strategy.profile.profile import Profile, read_mapping
from fastnn.exit_strategy.profile.schema import template
from fastnn.exit_strategy.profile.toml_text import profile_toml
from fastnn.exit_strategy.reading.files import home
from fastnn.files import write_text

from .form import Cells, cells_of, faults_of, form_page, read_form, values_of
from .guard import LOOPBACK, MAX_BODY, Guard, is_token

__all__ = ["create_app", "serve"]


def create_app(
    path: str | Path, *, lang: str = "en", port: int | None = None, **settings: Any
) -> Any:
    """A web app that edits one profile and shows its report; for this machine alone.

    `GET /` is the form, `POST /` checks and saves it to the file, `GET /report` evaluates the file.
    Requests for another host, from pages of another site, or without the form's own secret are
    refused.

    Args:
        path: The profile, a .toml file; it need not exist yet.
        lang: "en" or "zh", where a page is not asked for with `?lang=`.
        port: The port it is reached at; None: any.
        settings: What `evaluate` takes besides the profile, such as `weights`.

    Returns:
        An ASGI app, for uvicorn or any other server.

    Raises:
        ExitError: EX113 for a file that is not TOML, EX804 without FastAPI.
    """
    try:
        from fastapi import FastAPI, Request
        from fastapi.responses import HTMLResponse, RedirectResponse, Response
    except ImportError as error:
        hint = "pip install 'fastnn-rs[serve]'"
        raise ExitError(Issue("EX804", "", "the form needs FastAPI and uvicorn", hint)) from error

    file = home(path)
    if file.suffix.lower() != ".toml":
        raise ExitError(Issue("EX113", "", f"{file.name} is no .toml file", "name a .toml file"))
    token = secrets.token_urlsafe(32)
    app = FastAPI(title="fastnn exit", docs_url=None, redoc_url=None, openapi_url=None)

    def language(asked: str | None) -> str:
        return asked if asked in LANGUAGES else lang

    def page(cells: Cells, error: ExitError | None, words: str, saved: bool = False) -> Any:
        faults = {} if error is None else faults_of(error)
        made = form_page(cells, faults, file=file.name, token=token, lang=words, saved=saved)
        return HTMLResponse(made, 422 if faults else 200)

    # FastAPI reads annotations; those of a closure are not found by name.
    def form(request: Any) -> Any:
        words = language(request.query_params.get("lang"))
        try:
            cells = cells_of(_read(file, words))[0]
        except ExitError as error:
            return page({}, error, words)
        return page(cells, None, words, saved="saved" in request.query_params)

    async def save(request: Any) -> Any:
        words = language(request.query_params.get("lang"))
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY:
                return Response(f"the form has more than {MAX_BODY:,} bytes", 413)
        try:
            given = dict(
                parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=2000)
            )
        except ValueError:
            return Response("the form cannot be read", 400)
        if not is_token(given.get("token", ""), token):
            return Response(text("serve.again", words), 403)
        cells = read_form(given)
        try:
            _save(file, values_of(cells), words)
        except ExitError as error:
            return page(cells, error, words)
        target = "/report?" if given.get("then") == "report" else "/?saved&"
        return RedirectResponse(f"{target}lang={words}", 303)

    def report(request: Any) -> Any:
        words = language(request.query_params.get("lang"))
        try:
            made = evaluate(Profile.from_file(file), **settings).to_html(lang=words)
        except ExitError as error:
            try:
                cells = cells_of(_read(file, words))[0]
            except ExitError:
                cells = {}
            return page(cells, error, words)
        # the report brings a policy of its own, which lets its one script run
        back = f'<p class="back"><a href="/?lang={words}">{text("serve.back", words)}</a></p>'
        made = made.replace("<header", f"{back}<header", 1)
        return HTMLResponse(made, headers={"content-security-policy": "frame-ancestors 'none'"})

    for route, method, run in (("/", "GET", form), ("/", "POST", save), ("/report", "GET", report)):
        run.__annotations__ = {"request": Request}
        app.add_api_route(route, run, methods=[method], response_model=None)
    return Guard(app, port)


def _read(file: Path, lang: str) -> Mapping[str, Any]:
    """The file's own fields, or those of the template where there is no file yet."""
    if file.exists():
        return read_mapping(file)
    import tomllib

    return tomllib.loads(template(lang))


def _save(file: Path, values: Mapping[str, Any], lang: str) -> None:
    """Check a profile and write it; what the file said before is kept beside it, once."""
    words = profile_toml(values, lang)
    Profile.from_text(words)  # what is written is what is read again
    try:
        kept = file.with_name(f"{file.name}.bak")
        if file.exists() and not kept.exists():
            with contextlib.suppress(FileExistsError):
                kept.touch(exist_ok=False)
                kept.write_bytes(file.read_bytes())
        write_text(file, words)
    except OSError as error:
        raise ExitError(unwritable(file, error)) from error


def serve(
    path: str | Path, *, host: str = "127.0.0.1", port: int = 8765, lang: str = "en",
    **settings: Any,
) -> None:  # fmt: skip
    """Serve the form and the report of one profile until interrupted.

    Raises:
        ExitError: EX803 for an address that other machines reach, EX804 without uvicorn.
    """
    if host not in LOOPBACK:
        text_ = f"{host} can be reached by other machines, and a profile is nobody's business"
        raise ExitError(Issue("EX803", "host", text_, "use 127.0.0.1", host))
    app = create_app(path, lang=lang, port=port, **settings)
    try:
        import uvicorn
    except ImportError as error:
        hint = "pip install 'fastnn-rs[serve]'"
        raise ExitError(Issue("EX804", "", "the form needs FastAPI and uvicorn", hint)) from error
    where = f"[{host}]" if ":" in host else host
    print(text("serve.at", lang, url=f"http://{where}:{port}/?lang={lang}"), flush=True)
    uvicorn.run(app, host=host, port=port, log_level="warning", server_header=False)

"""Language models: the cache gives what the whole text gives, weights by name, texts by seed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import _core
from fastnn.applications import GPT, Llama
from fastnn.layers.transformer.positions import rotary_rates

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def models():
    return [
        GPT(32, 16, 2, heads=4, max_length=24),
        Llama(32, 16, 2, heads=4, shared_heads=2, hidden=24, max_length=24),
        Llama(32, 16, 1, heads=2, hidden=24, max_length=24, interleaved=True, tied=False),
    ]


def shaken(model, rng):
    model(np.zeros((1, 1), np.int32))
    model.set_weights([rng.normal(size=w.shape, scale=0.3) for w in model.get_weights()])
    return model


@pytest.mark.parametrize("which", range(3))
def test_a_token_costs_one_step_and_gives_what_the_whole_text_gives(which, rng):
    model = shaken(models()[which], rng)
    tokens = rng.integers(0, 32, size=12)
    whole = np.asarray(model(tokens[None]))[0]
    decoder = model.decoder()
    assert decoder.feed(tokens[:5]) == pytest.approx(whole[4], abs=1e-4)
    for i in range(5, 12):
        assert decoder.feed([tokens[i]]) == pytest.approx(whole[i], abs=1e-4)


def test_llama_follows_its_formula(rng):
    model = shaken(Llama(11, 8, 1, heads=2, shared_heads=1, hidden=12, max_length=9), rng)
    w = {v.path.split("/", 1)[1]: v.numpy() for v in model.weights}
    table = model.embedding.embeddings.numpy()
    tokens = rng.integers(0, 11, size=6)

    def norm(x, scale):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * scale

    def turn(x):  # (steps, heads, 4)
        angles = np.arange(6)[:, None] * 10000.0 ** (-np.arange(2) / 2)
        cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
        a, b = x[..., :2], x[..., 2:]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    block = model.blocks[0]
    att = block.attention
    x = table[tokens]
    y = norm(x, block.attention_norm.scale.numpy())
    q = turn((y @ att.query_dense.kernel.numpy()).reshape(6, 2, 4))
    k = turn((y @ att.key_dense.kernel.numpy()).reshape(6, 1, 4))
    v = (y @ att.value_dense.kernel.numpy()).reshape(6, 1, 4)
    scores = np.einsum("qhd,kgd->hqk", q, k) / 2
    scores = np.where(np.tri(6, dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    out = np.einsum("hqk,kgd->qhd", weights, v).reshape(6, 8)
    x = x + out @ att.output_dense.kernel.numpy()
    y = norm(x, block.ffn_norm.scale.numpy())
    gate = y @ block.gate.kernel.numpy()
    x = x + (gate / (1 + np.exp(-gate)) * (y @ block.up.kernel.numpy())) @ block.down.kernel.numpy()
    wanted = norm(x, model.norm.scale.numpy()) @ table.T
    assert w
    assert np.asarray(model(tokens[None]))[0] == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize("which", range(3))
def test_weights_go_in_by_their_published_names(which, rng):
    model = shaken(models()[which], rng)
    tensors = {}
    for variable, names, change in model.layout():
        value = variable.numpy()
        if "c_attn" in names[0]:
            tensors.setdefault(names[0], []).append(value)
        else:
            tensors[names[0]] = value.T if change is np.transpose else value
    tensors = {n: np.concatenate(v, -1) if isinstance(v, list) else v for n, v in tensors.items()}
    fresh = models()[which]
    fresh.set_tensors(tensors)
    tokens = rng.integers(0, 32, size=(2, 7))
    assert np.asarray(fresh(tokens)).tolist() == np.asarray(model(tokens)).tolist()
    name = next(iter(tensors))
    with pytest.raises(fastnn.FormatError, match="no place"):
        fresh.set_tensors(tensors | {"head.bias": np.zeros(3)})
    with pytest.raises(fastnn.FormatError, match="lack"):
        fresh.set_tensors({k: v for k, v in tensors.items() if k != name})


def test_a_language_model_learns_and_speaks():
    text = "abcabdabcabd" * 20
    letters = fastnn.CharTokenizer(text)
    numbers = np.array(letters.encode(text))
    x = np.stack([numbers[i : i + 14] for i in range(100)])
    y = np.stack([numbers[i + 1 : i + 15] for i in range(100)])
    fastnn.utils.set_random_seed(0)
    model = GPT(len(letters), 32, 1, heads=2, max_length=32)
    model.compile(
        fastnn.optimizers.Adam(0.01), fastnn.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.fit(x, y, epochs=30, verbose=0)
    said = fastnn.generate(model, "abcab", 7, temperature=0, tokenizer=letters)
    assert said == "dabcabd"
    assert (
        "".join(fastnn.generate(model, "abcab", 7, temperature=0, tokenizer=letters, stream=True))
        == said
    )
    assert fastnn.generate(model, "abcab", 7, temperature=0, tokenizer=letters, stop="bc") == "da"


def test_the_same_seed_gives_the_same_text(rng):
    model = shaken(models()[0], rng)
    draw = dict(max_tokens=12, temperature=1.5)
    first = fastnn.generate(model, [1, 2], seed=3, **draw)
    assert first == fastnn.generate(model, [1, 2], seed=3, **draw)
    assert first != fastnn.generate(model, [1, 2], seed=4, **draw)
    best = fastnn.generate(model, [1, 2], max_tokens=12, temperature=0)
    assert best == fastnn.generate(model, [1, 2], seed=9, top_k=1, **draw)
    assert best == fastnn.generate(model, [1, 2], seed=9, top_p=1e-9, **draw)
    assert (
        fastnn.generate(model, [1, 2], max_tokens=12, temperature=0, stop=best[3])
        == (best[: best.index(best[3])])
    )


def test_arguments_may_be_numbers_and_arrays_of_numpy(rng):
    model = shaken(models()[0], rng)
    made = fastnn.generate(model, [1, 2], max_tokens=12, temperature=0)
    ends = np.array([made[5], made[7]])
    short = fastnn.generate(
        model, np.array([1, 2]), np.int64(12), np.float32(0), np.int64(4), np.float64(0.5),
        np.int64(3), stop=ends,
    )  # fmt: skip
    assert short == made[: min(made.index(e) for e in ends)]


def test_a_text_that_stops_at_once_has_no_empty_piece(rng):
    letters = fastnn.CharTokenizer("".join(map(chr, range(65, 97))))
    model = shaken(models()[0], rng)
    asked = dict(max_tokens=8, temperature=0, tokenizer=letters)
    text = fastnn.generate(model, "BC", **asked)
    for n in (0, 1, 3):  # an ending of two tokens
        stop = text[n : n + 2]
        pieces = list(fastnn.generate(model, "BC", stop=stop, stream=True, **asked))
        assert all(pieces)
        assert "".join(pieces) == text[: text.index(stop)]
    with pytest.raises(ValueError, match=r"empty text\n  hint"):
        fastnn.generate(model, "BC", stop="", **asked)


def test_what_does_not_fit_is_said(rng):
    model = shaken(models()[0], rng)
    broken = shaken(models()[0], rng)
    broken.norm.gamma.assign(np.full(16, np.nan))
    for wrong, words in (
        (lambda: fastnn.generate(model, []), "at least one"),
        (lambda: fastnn.generate(model, [1, 99]), "token 99 at position 1"),
        (lambda: fastnn.generate(model, [1] * 20, max_tokens=10), "more than the 24"),
        (lambda: fastnn.generate(model, [1] * 30, max_tokens=2), r"hint: prompt\[-24:\]"),
        (lambda: fastnn.generate(model, "text"), "no tokenizer"),
        (lambda: fastnn.generate(model, [1], temperature=-1), "temperature"),
        (lambda: fastnn.generate(model, [1], max_tokens=2, top_k=0), "top_k"),
        (lambda: fastnn.generate(model, [1], max_tokens=2, top_k=True), "top_k is True"),
        (lambda: fastnn.generate(model, [1], max_tokens=True), "max_tokens is True"),
        (lambda: fastnn.generate(model, [1], temperature="hot"), "temperature is 'hot'"),
        (lambda: fastnn.generate(model, [1], temperature=None), "temperature is None"),
        (lambda: fastnn.generate(model, [1], top_p=np.nan), "top_p is nan"),
        (lambda: fastnn.generate(model, [1], seed=-1), "seed is -1"),
        (lambda: fastnn.generate(model, [1], stop=3.5), "stop is 3.5"),
        (lambda: fastnn.generate(model, [1], stop=[None]), "stop is None"),
        (lambda: fastnn.generate(model, [1], stop="a"), "no tokenizer"),
        (lambda: fastnn.generate(fastnn.Sequential(), [1]), "Sequential has no `decoder`"),
        # Said at the call, not with the first token.
        (lambda: fastnn.generate(model, [1] * 30, max_tokens=2, stream=True), "more than the 24"),
        (lambda: fastnn.generate(broken, [1], max_tokens=2), "NaN"),
        (lambda: model(np.zeros((1, 25), np.int32)), "up to 24"),
        (lambda: model.decoder(3).feed([1, 2, 3, 4]), "cache of 3"),
        (lambda: fastnn.CharTokenizer("abc").encode("abx"), "'x' at position 2"),
        (lambda: fastnn.CharTokenizer("abc").decode([0, 3]), "token 3 at position 1"),
        (lambda: fastnn.CharTokenizer("abc").decode([-1]), "token -1 at position 0"),
        (lambda: GPT(8, 15, 1, heads=2)([[1]]), "width of 15"),
        (lambda: Llama(8, 16, 1, heads=4, shared_heads=3)([[1]]), "3 of them"),
    ):
        with pytest.raises((ValueError, fastnn.FastnnError), match=words) as error:
            wrong()
        assert "hint:" in str(error.value)


def test_stories260k_speaks_its_published_text(data_dir):
    folder = data_dir / "weights" / "stories260K"
    if not folder.exists():
        pytest.skip("FASTNN_DATA names no folder with weights/stories260K")
    program = [sys.executable, EXAMPLES / "stories.py", folder]
    said = subprocess.run(program, capture_output=True, check=True).stdout
    assert said == (folder / "expected_greedy_200.txt").read_bytes() + b"\n"


def test_weights_of_pytorch_go_into_layers(rng):
    x = rng.normal(size=(2, 5, 3)).astype("float32")

    def state(gates, level=""):
        shapes = {"weight_ih": (gates * 4, 3), "weight_hh": (gates * 4, 4),
                  "bias_ih": (gates * 4,), "bias_hh": (gates * 4,)}  # fmt: skip
        return {f"rnn.{n}_l0{level}": rng.normal(size=s, scale=0.5) for n, s in shapes.items()}

    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    s = state(4)
    lstm = fastnn.layers.LSTM(4)
    lstm(x)
    fastnn.files.torch_layout(lstm, s, "rnn.")
    h = c = np.zeros((2, 4))
    for t in range(5):
        z = x[:, t] @ s["rnn.weight_ih_l0"].T + s["rnn.bias_ih_l0"]
        z = z + h @ s["rnn.weight_hh_l0"].T + s["rnn.bias_hh_l0"]
        i, f, g, o = np.split(z, 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    assert np.asarray(lstm(x)) == pytest.approx(h, abs=1e-5)
    s = state(3)
    gru = fastnn.layers.GRU(4)
    gru(x)
    fastnn.files.torch_layout(gru, s, "rnn.")
    h = np.zeros((2, 4))
    for t in range(5):
        a = x[:, t] @ s["rnn.weight_ih_l0"].T + s["rnn.bias_ih_l0"]
        b = h @ s["rnn.weight_hh_l0"].T + s["rnn.bias_hh_l0"]
        r, z = sigmoid(a + b)[:, :4], sigmoid(a + b)[:, 4:8]
        n = np.tanh(a[:, 8:] + r * b[:, 8:])
        h = (1 - z) * n + z * h
    assert np.asarray(gru(x)) == pytest.approx(h, abs=1e-5)
    both = fastnn.layers.Bidirectional(fastnn.layers.LSTM(4))
    both(x)
    fastnn.files.torch_layout(both, state(4) | state(4, "_reverse"), "rnn.")
    with pytest.raises(fastnn.FormatError, match="there is no"):
        fastnn.files.torch_layout(both, state(4), "rnn.")


def numpy_draw(scores, chance, temperature, top_k, top_p):
    """The drawing of a token, by its definition in float64."""
    if temperature == 0:
        return int(scores.argmax())
    order = np.arange(len(scores))
    if top_k or top_p:
        order = np.argsort(-scores, kind="stable")[:top_k]
    weights = np.exp((scores[order].astype(np.float64) - scores.max()) / temperature)
    weights /= weights.sum()
    if top_p:
        kept = int(np.searchsorted(np.cumsum(weights), top_p)) + 1
        order, weights = order[:kept], weights[:kept] / weights[:kept].sum()
    return int(order[np.searchsorted(np.cumsum(weights), chance, side="right")])


class ByFeed:
    """A decoder of a user's own: it feeds, and has no loop."""

    def __init__(self, decoder):
        self.feed = decoder.feed


class ByFeedModel:
    def __init__(self, model):
        self.model = model

    def decoder(self, length):
        return ByFeed(self.model.decoder(length))


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize(
    "how",
    [
        (0, None, None),
        (1.3, None, None),
        (0.7, 5, None),
        (1.0, None, 0.8),
        (2.0, 9, 0.6),
        (1, 99, 1),
    ],
)
def test_the_loop_says_what_a_loop_in_python_says(which, how, rng):
    model = shaken(models()[which], rng)
    temperature, top_k, top_p = how
    asked = dict(temperature=temperature, top_k=top_k, top_p=top_p)
    for seed in range(5):
        chances = np.random.Generator(np.random.Philox(seed)).random(20, np.float32)
        decoder, wanted, new = model.decoder(), [], [3, 1, 2]
        for chance in chances:
            new = [numpy_draw(decoder.feed(new), chance, temperature, top_k, top_p)]
            wanted += new
        said = fastnn.generate(model, [3, 1, 2], 20, seed=seed, **asked)
        assert said == wanted
        assert list(fastnn.generate(model, [3, 1, 2], 20, seed=seed, stream=True, **asked)) == said
        assert fastnn.generate(ByFeedModel(model), [3, 1, 2], 20, seed=seed, **asked) == said
        for end in (said[0], said[1], said[7], said[-1], 10**12, -1):
            cut = said[: said.index(end)] if end in said else said
            stop = [end, "never"] if end < 0 else end
            letters = fastnn.CharTokenizer("".join(map(chr, range(65, 97))))
            found = fastnn.generate(
                model, [3, 1, 2], 20, seed=seed, stop=stop, tokenizer=letters, **asked
            )
            assert found == letters.decode(cut)


def test_the_cache_goes_on_behind_a_loop(rng):
    model = shaken(models()[1], rng)
    tokens = [3, 1, 2]
    decoder = model.decoder()
    first = int(decoder.feed(tokens).argmax())
    loop = decoder.loop(lambda s, c: (fastnn.ops.argmax(s), s[0] != s[0]), np.zeros(9), [])
    one, ended, fault = loop.run(first, 4)
    assert (len(one), ended, fault, decoder.position) == (4, False, False, 7)
    two, *_ = loop.run(one[-1], 3)
    whole = [*tokens, first, *one, *two]
    scores = np.asarray(model(np.array(whole)[None]))[0]
    assert whole[3:] == scores[2:-1].argmax(-1).tolist()
    assert decoder.feed(two[-1:]) == pytest.approx(scores[-1], abs=1e-4)
    with pytest.raises(fastnn.DataError, match=r"7 draws and 3 more.*\n  hint:"):
        loop.run(two[-1], 3)
    with pytest.raises(fastnn.DataError, match=r"cache of 24 holds\n  hint:"):
        loop.run(two[-1], 30)
    assert decoder.position == 11


@pytest.mark.parametrize("temperature", [0, 1.0])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("at", [1, 2, 6])
def test_scores_that_turn_nan_end_the_text_with_an_error(temperature, stream, at, rng):
    model = shaken(models()[0], rng)
    asked = dict(temperature=temperature, seed=4, stream=True)
    good = list(fastnn.generate(model, [1, 2], 12, **asked))
    table = model.position.embeddings.numpy().copy()
    table[at] = np.nan
    model.position.embeddings.assign(table)
    said = []
    asked["stream"] = stream
    with pytest.raises(fastnn.DataError, match="NaN"):
        said.extend(fastnn.generate(model, [1, 2], 12, **asked))
    assert said == good[: max(at - 1, 0) if stream else 0]


def test_scores_that_allow_no_draw_are_refused_and_those_that_do_are_not(rng):
    class Fixed:
        def __init__(self, scores):
            self.scores = np.array(scores, np.float32)

        def decoder(self, length):
            return self

        def feed(self, tokens):
            return self.scores

    inf = np.inf
    for wrong in ([inf, 0, 0], [-inf, -inf], [np.nan, 1]):
        for how in ({}, {"top_k": 2}, {"top_p": 0.5}):
            with pytest.raises(fastnn.DataError, match="no token can be drawn"):
                fastnn.generate(Fixed(wrong), [0], 2, **how)
    said = fastnn.generate(Fixed([-inf, 2.0, -inf, 2.0]), [0], 200, seed=0)
    assert set(said) == {1, 3}
    for how in ({}, {"top_k": 3}, {"top_p": 0.9}, {"top_p": 1.0}):
        for cold in (1e-3, 1e-30, 1e-300):
            said = fastnn.generate(
                Fixed([1.0, 3.0, -1e30, 2.0]), [0], 50, temperature=cold, seed=0, **how
            )
            assert set(said) == {1}
    shares = np.bincount(fastnn.generate(Fixed(np.log([0.1, 0.2, 0.7])), [0], 4000, seed=0))
    assert shares / 4000 == pytest.approx([0.1, 0.2, 0.7], abs=0.03)


def test_a_text_is_the_same_on_any_number_of_threads(rng):
    model = shaken(models()[1], rng)
    before, said = _core.get_num_threads(), []
    for threads in (1, 2, 5):
        _core.set_num_threads(threads)
        said.append(fastnn.generate(model, [1, 2], 20, temperature=1.2, top_p=0.9, seed=3))
    _core.set_num_threads(before)
    assert said[0] == said[1] == said[2]


def _written(model):
    found: dict[str, list[np.ndarray]] = {}
    for v, names, change in model.layout():
        array = v.numpy()
        found.setdefault(names[0], []).append(array.T if change is np.transpose else array)
    return {n: np.concatenate(parts, -1) for n, parts in found.items()}


def test_stretched_positions_turn_as_published():
    plain, _ = rotary_rates(64, 10000.0)
    slow, scale = rotary_rates(64, 10000.0, {"rope_type": "linear", "factor": 4.0})
    assert (slow * 4).tolist() == plain.tolist()
    assert scale == 1.0
    third = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
             "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}  # fmt: skip
    rates, _ = rotary_rates(128, 500000.0, third)
    was, _ = rotary_rates(128, 500000.0)
    waves = 2 * np.pi / was
    assert (rates[waves < 8192 / 4] == was[waves < 8192 / 4]).all()
    assert rates[waves > 8192] == pytest.approx(was[waves > 8192] / 8)
    assert ((rates <= was) & (rates >= was / 8 * 0.999999)).all()
    wide, scale = rotary_rates(
        64, 10000.0, {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 2048}
    )
    assert wide[0] == plain[0]
    assert wide[-1] == pytest.approx(plain[-1] / 4)
    assert scale == pytest.approx(0.1 * np.log(4) + 1)


@pytest.mark.parametrize("scaling", [{"rope_type": "longrope"}, {"type": "linear"}, {"rope_type":
    "llama3", "factor": 8.0}])  # fmt: skip
def test_scalings_that_are_not_there_or_lack_numbers_are_refused(scaling):
    with pytest.raises(fastnn.DataError, match=r"(?s)rope_scaling.*hint:"):
        Llama(32, 16, 1, heads=2, rope_scaling=scaling)


def test_a_stretched_model_is_saved_with_its_scaling(tmp_path, rng):
    model = shaken(Llama(32, 16, 1, heads=2, rope_scaling={"type": "linear", "factor": 2.0}), rng)
    model.save(tmp_path / "m.safetensors")
    again = fastnn.models.load_model(tmp_path / "m.safetensors", {"Llama": Llama})
    tokens = rng.integers(0, 32, (1, 9))
    assert np.asarray(again(tokens)).tolist() == np.asarray(model(tokens)).tolist()


@pytest.mark.parametrize("kind", ["m.safetensors", "m.keras"])
@pytest.mark.parametrize("which", range(3))
def test_a_language_model_comes_back_from_its_file(tmp_path, rng, which, kind):
    """By its name alone, also in a program that has not imported it."""
    model = shaken(models()[which], rng)
    tokens = rng.integers(0, 32, (2, 9))
    model.save(tmp_path / kind)
    again = fastnn.models.load_model(tmp_path / kind)
    assert type(again) is type(model)
    assert np.asarray(again(tokens)).tolist() == np.asarray(model(tokens)).tolist()
    if kind == "m.safetensors":
        model.quantize("int8")
        model.save(tmp_path / kind)
    said = fastnn.generate(model, [1, 2], 5, temperature=0)
    program = (
        "import fastnn\n"
        f"model = fastnn.load_model({str(tmp_path / kind)!r})\n"
        "print(fastnn.generate(model, [1, 2], 5, temperature=0))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == str(said), done.stderr


def test_weights_in_several_files_are_read_through_their_list(tmp_path, rng):
    model = shaken(Llama(32, 16, 2, heads=4, shared_heads=2, tied=False), rng)
    tensors, places = _written(model), {}
    for i, (name, array) in enumerate(tensors.items()):
        places[name] = f"model-{i % 3}.safetensors"
        tensors[name] = np.ascontiguousarray(array)
    for file in set(places.values()):
        part = {n: fastnn.tensor(tensors[n]) for n, f in places.items() if f == file}
        _core.save_file(str(tmp_path / file), part, {}, None)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    for path in (index, tmp_path):
        again = Llama(32, 16, 2, heads=4, shared_heads=2, tied=False)
        again.load_tensors(path)
        tokens = rng.integers(0, 32, (1, 9))
        assert np.asarray(again(tokens)).tolist() == np.asarray(model(tokens)).tolist()
    for wrong, error in (
        ({"weight_map": {"a": "../x.safetensors"}}, fastnn.FormatError),
        ({"weight_map": {"a": "none.safetensors"}}, FileNotFoundError),
        ({"weight_map": {**places, "absent": "model-0.safetensors"}}, fastnn.FormatError),
        ({"weights": 1}, fastnn.FormatError),
        ([], fastnn.FormatError),
    ):
        index.write_text(json.dumps(wrong))
        with pytest.raises(error, match="hint:"):
            again.load_tensors(index)


def test_a_table_of_scores_that_is_not_the_embeddings_is_not_passed_over(rng):
    for model in (GPT(32, 16, 1, heads=2), Llama(32, 16, 1, heads=2)):
        tensors = _written(shaken(model, rng))
        model.set_tensors({**tensors, "lm_head.weight": model.embedding.embeddings.numpy()})
        with pytest.raises(fastnn.FormatError, match=r"(?s)lm_head\.weight.*hint:"):
            model.set_tensors({**tensors, "lm_head.weight": rng.normal(size=(32, 16))})

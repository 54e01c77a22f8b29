"""CTC against all alignments, perplexity, BLEU, and batches of like length."""

import itertools

import numpy as np
import pytest

import fastnn
from fastnn import layers, losses, metrics, ops


def chance(labels, logits):
    """The chance of labels: the sum over all that the steps may say."""
    p = np.exp(logits - np.logaddexp.reduce(logits, -1)[:, None])
    total = 0.0
    for path in itertools.product(range(logits.shape[1]), repeat=len(logits)):
        if [k for k, _ in itertools.groupby(path) if k] == list(labels):
            total += np.prod([p[t, c] for t, c in enumerate(path)])
    return total


def test_ctc_is_the_chance_of_all_alignments(rng):
    logits = rng.normal(size=(5, 5, 3))
    targets = np.array([[1, 2], [1, 1], [2, 0], [0, 0], [2, 1]])
    counts, steps = [2, 2, 1, 0, 2], [5, 5, 4, 3, 2]
    wanted = [-np.log(chance(t[:n], x[:s]))
              for t, n, x, s in zip(targets, counts, logits, steps, strict=True)]  # fmt: skip
    assert np.asarray(ops.ctc_loss(targets, logits, counts, steps)) == pytest.approx(
        wanted, rel=1e-4
    )
    whole = np.array(
        [-np.log(chance([v for v in t if v], x)) for t, x in zip(targets, logits, strict=True)]
    )
    assert float(losses.CTC()(targets, logits)) == pytest.approx(whole.mean(), rel=1e-4)


def test_ctc_gradients_are_those_of_finite_differences(rng):
    logits = rng.normal(size=(2, 4, 3)).astype("float32")
    targets = np.array([[1, 2], [1, 1]])
    slope = np.asarray(fastnn.grad(lambda x: ops.sum(losses.ctc(targets, x)))(logits))
    for at in ((0, 1, 2), (1, 2, 0), (1, 3, 1)):
        ends = []
        for sign in (1, -1):
            moved = logits.copy()
            moved[at] += sign * 1e-2
            ends.append(float(ops.sum(losses.ctc(targets, moved))))
        assert slope[at] == pytest.approx((ends[0] - ends[1]) / 2e-2, rel=2e-2, abs=2e-3)


def test_a_model_learns_by_ctc(rng):
    fastnn.utils.set_random_seed(0)
    labels = rng.integers(1, 4, size=(64, 3))
    x = np.eye(4)[np.repeat(np.concatenate([labels, 0 * labels], 1)[:, [0, 3, 1, 4, 2, 5]], 2, 1)]
    model = fastnn.Sequential([
        fastnn.Input((None, 4)), layers.GRU(16, return_sequences=True), layers.Dense(4),
    ])  # fmt: skip
    model.compile(fastnn.optimizers.Adam(0.02), "ctc")
    history = model.fit(x, labels, epochs=15, verbose=0).history["loss"]
    assert history[-1] < 0.2 * history[0]
    with pytest.raises(fastnn.ShapeError, match="max_length"):
        losses.ctc(labels[:, 0], x)


def test_perplexity_counts_tokens_that_count(rng):
    y = np.array([[1, 2, 0], [3, 0, 0]])
    p = rng.uniform(0.1, 1, size=(2, 3, 4))
    p /= p.sum(-1, keepdims=True)
    metric = metrics.Perplexity(mask_token_id=0)
    metric.update_state(y[:1], p[:1])
    metric.update_state(y[1:], p[1:])
    said = [p[0, 0, 1], p[0, 1, 2], p[1, 0, 3]]
    assert float(metric.result()) == pytest.approx(np.exp(-np.log(said).mean()), rel=1e-5)
    model = fastnn.Sequential([
        fastnn.Input((None,), dtype="int32"), layers.Embedding(4, 3), layers.Dense(4),
    ])  # fmt: skip
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=[metrics.Perplexity(from_logits=True)])
    logs = model.evaluate(y, y, verbose=0, return_dict=True)
    assert logs["perplexity"] == pytest.approx(np.exp(logs["loss"]), rel=1e-4)


def test_bleu_by_hand():
    assert metrics.bleu(["a b c d e"], ["a b c d e"]) == pytest.approx(1.0)
    assert metrics.bleu(["a b c d"], ["e f g h"]) == 0.0
    # 5 of 6 words, 3 of 5 pairs, 2 of 4 triples, 1 of 3 quadruples; no shorter than the reference.
    value = metrics.bleu(["the cat sat on the mat"], ["the cat sat on a mat"])
    assert value == pytest.approx((5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)
    short = metrics.bleu(["the cat sat on the mat"], ["the cat sat on"])
    assert short == pytest.approx(np.exp(1 - 6 / 4))
    assert metrics.bleu([["a b c d", "e f g h"]], ["e f g h"]) == pytest.approx(1.0)
    # One reference of a single word does not make tokens of the others.
    assert metrics.bleu([["hello", "hi there"]], ["hi there"], max_order=2) == pytest.approx(1.0)
    for wrong, words in (
        (lambda: metrics.bleu("a b", "a b"), "references is one text"),
        (lambda: metrics.bleu(["a"], ["a"], max_order=0), "max_order is 0"),
    ):
        with pytest.raises(ValueError, match=words + r"(.|\n)*hint:"):
            wrong()


def test_rows_of_like_length_share_a_batch(rng):
    rows = [rng.integers(1, 9, size=n) for n in rng.integers(1, 40, size=50)]
    y = np.arange(50)
    batches = fastnn.data.by_length(rows, y, batch_size=8, widths=[10, 20, 40], seed=1)
    seen, first = [], []
    for x, labels in batches.as_numpy_iterator():
        assert x.shape[1] in (10, 20, 40)
        assert x.shape[0] <= 8
        for row, label in zip(x, labels, strict=True):
            assert row[: len(rows[label])].tolist() == rows[label].tolist()
            assert not row[len(rows[label]) :].any()
        seen += list(labels)
    assert sorted(seen) == list(range(50))
    first = [list(labels) for _, labels in batches.as_numpy_iterator()]
    again = fastnn.data.by_length(rows, y, batch_size=8, widths=[10, 20, 40], seed=1)
    _, second = ([list(v) for _, v in again.as_numpy_iterator()] for _ in range(2))
    assert first == second
    for wrong, words in (
        (lambda: fastnn.data.by_length([[1], []]), "row 1 of x"),
        (lambda: fastnn.data.by_length([[1] * 9], widths=[4]), "9 tokens"),
        (lambda: fastnn.data.by_length([[1]], [1, 2]), "1 rows"),
    ):
        with pytest.raises(fastnn.DataError, match=words):
            wrong()


def test_texts_in_folders_make_a_data_set(tmp_path):
    for name, texts in (("bad", ["dull", "long"]), ("good", ["fine", "moving", "short"])):
        (tmp_path / name).mkdir()
        for i, text in enumerate(texts):
            (tmp_path / name / f"{i}.txt").write_text(text)
    ds = fastnn.utils.text_dataset_from_directory(tmp_path, batch_size=2, seed=3, verbose=False)
    found = {str(t): int(n) for x, y in ds for t, n in zip(x, y, strict=True)}
    assert found == {"dull": 0, "long": 0, "fine": 1, "moving": 1, "short": 1}
    assert ds.class_names == ["bad", "good"]
    vectorize = layers.TextVectorization(output_sequence_length=2)
    vectorize.adapt(list(found))
    model = fastnn.Sequential([
        vectorize, layers.Embedding(9, 3), layers.Flatten(), layers.Dense(2),
    ])  # fmt: skip
    model.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=True))
    assert np.isfinite(model.fit(ds, epochs=2, verbose=0).history["loss"]).all()
    (tmp_path / "bad" / "9.txt").write_bytes(b"caf\xe9")
    with pytest.raises(fastnn.DataError, match="not UTF-8"):
        list(fastnn.utils.text_dataset_from_directory(tmp_path, verbose=False))


def _chances(logs, nothing):
    """The chance of every labelling, summed over all ways to say it."""
    found: dict[tuple[int, ...], float] = {}
    for way in itertools.product(range(logs.shape[1]), repeat=len(logs)):
        said = tuple(c for i, c in enumerate(way) if c != nothing and way[i - 1 : i] != (c,))
        found[said] = found.get(said, 0.0) + float(np.exp(logs[range(len(logs)), way].sum()))
    return sorted(((np.log(p), said) for said, p in found.items()), reverse=True)


@pytest.mark.parametrize("nothing", [0, 2])
def test_a_beam_search_finds_the_likeliest_labels(nothing):
    rng = np.random.default_rng(0)
    scores, lengths = rng.normal(size=(3, 5, 3)).astype(np.float32) * 2, [5, 3, 1]
    paths, chances = fastnn.ops.ctc_decode(
        scores, lengths, strategy="beam_search", top_paths=2, mask_index=nothing
    )
    logs = np.asarray(fastnn.ops.log_softmax(scores))
    for i, n in enumerate(lengths):
        expected = _chances(logs[i, :n], nothing)[:2]
        for j, (chance, said) in enumerate(expected):
            assert [v for v in paths.numpy()[j, i].tolist() if v >= 0] == list(said)
            assert chances.numpy()[i, j] == pytest.approx(chance, abs=1e-5)


def test_greedy_labels_drop_repeats_and_nothing():
    scores = np.eye(4, dtype=np.float32)[None, [1, 1, 0, 1, 3, 3, 2]]
    labels, total = fastnn.ops.ctc_decode(scores, [6])
    assert labels.numpy().tolist() == [[[1, 1, 3, -1, -1, -1, -1]]]
    assert total.numpy().tolist() == [[-6]]
    labels, _ = fastnn.ops.ctc_decode(scores, [7], merge_repeated=False)
    assert labels.numpy().tolist() == [[[1, 1, 1, 3, 3, 2, -1]]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"strategy": "best"}, {"mask_index": 4}, {"strategy": "beam_search", "top_paths": 0},
        {"strategy": "beam_search", "top_paths": 5, "beam_width": 4}, {"sequence_lengths": [1, 2]},
    ],
)  # fmt: skip
def test_what_cannot_be_decoded_is_refused(wrong):
    with pytest.raises(ValueError, match="hint:"):
        fastnn.ops.ctc_decode(**{"inputs": np.zeros((1, 3, 4)), "sequence_lengths": [3], **wrong})


def test_ctc_counts_labels_that_are_the_class_of_nothing_as_labels():
    # The loss of Keras counts all labels of a row, those that fill it up with 0 too.
    logits = (np.arange(24).reshape(2, 4, 3).astype("f") - 12) / 100
    loss = losses.CTC(reduction=None)([[1, 2, 1, 0], [1, 2, 0, 2]], logits)
    np.testing.assert_allclose(loss.numpy(), [2.4429314, 2.4543595], rtol=1e-5)


def test_ctc_refuses_lengths_beyond_labels_and_steps():
    """They were read as another length, or gave a loss of 2e5 in silence."""
    scores, labels = np.zeros((2, 4, 3), "float32"), [[1, 2], [1, 1]]
    for words, wrong in (
        (r"target_length\[1\] is 3", lambda: ops.ctc_loss(labels, scores, [2, 3], [4, 4])),
        (r"target_length\[0\] is -1", lambda: ops.ctc_loss(labels, scores, [-1, 2], [4, 4])),
        (r"output_length\[0\] is 5", lambda: ops.ctc_loss(labels, scores, [2, 2], [5, 4])),
        (r"shape \(1,\)", lambda: ops.ctc_loss(labels, scores, [2], [4, 4])),
        (r"sequence_lengths\[0\] is 9", lambda: ops.ctc_decode(scores, [9, 4])),
        (
            r"sequence_lengths\[1\] is -1",
            lambda: ops.ctc_decode(scores, [4, -1], "beam_search", beam_width=2),
        ),
    ):
        with pytest.raises(ValueError, match=rf"{words}(.|\n)*hint:"):
            wrong()

"""Blocks of Transformers: formulas in NumPy, causality, masks, positions, files, a task learned."""

import numpy as np
import pytest

import fastnn
from fastnn import layers, nn


def array(x) -> np.ndarray:
    return np.asarray(x)


@pytest.mark.parametrize("first", [False, True])
def test_an_encoder_is_attention_and_two_products_with_residuals(first, rng):
    x = rng.normal(size=(2, 4, 6)).astype("float32")
    block = nn.TransformerEncoder(10, 2, activation="gelu", normalize_first=first)
    block(x)

    def part(x, norm, f):
        return x + array(f(norm(x))) if first else array(norm(x + array(f(x))))

    y = part(x, block.attention_norm, lambda v: block.self_attention(v, v))
    y = part(y, block.feedforward_norm, lambda v: block.output_dense(block.intermediate_dense(v)))
    assert array(block(x)) == pytest.approx(y, abs=1e-5)


def test_a_decoder_sees_what_came_before_and_the_encoder(rng):
    x, other = rng.normal(size=(2, 5, 8)), rng.normal(size=(2, 7, 8))
    block = nn.TransformerDecoder(16, 2)
    y = array(block(x, other))
    changed = x.copy()
    changed[:, 3:] += 1.0
    assert array(block(changed, other))[:, :3] == pytest.approx(y[:, :3], abs=1e-5)
    mask = np.ones((2, 7), bool)
    mask[:, 5:] = False
    hidden = other.copy()
    hidden[:, 5:] = 9.0
    assert array(block(x, other, encoder_padding_mask=mask)) == pytest.approx(
        array(block(x, hidden, encoder_padding_mask=mask)), abs=1e-5
    )
    with pytest.raises(fastnn.DataError, match="was built with an encoder"):
        block(x)


def test_padding_does_not_reach_other_steps(rng):
    inputs = fastnn.Input((None,), dtype="int32")
    x = nn.TokenAndPositionEmbedding(20, 12, 8, mask_zero=True)(inputs)
    x = nn.TransformerEncoder(16, 2, dropout=0.1)(x)
    model = fastnn.Model(inputs, nn.TransformerEncoder(16, 2)(x))
    long = np.array([[3, 4, 5, 0, 0, 0]])
    assert model.predict(long)[:, :3] == pytest.approx(model.predict(long[:, :3]), abs=1e-5)


def test_positions_by_waves_and_by_turning(rng):
    waves = array(nn.SinePositionEncoding()(np.zeros((1, 6, 4))))[0]
    at = np.arange(6)[:, None] / 10000.0 ** (np.array([0, 0, 2, 2]) / 4)
    assert waves == pytest.approx(np.where([1, 0, 1, 0], np.sin(at), np.cos(at)), abs=1e-5)
    turn = nn.RotaryEmbedding()
    q, k = rng.normal(size=(2, 1, 1, 2, 8))
    # A product of turned vectors depends on how far apart they stand alone.
    products = [
        float((array(turn(q, start_index=a)) * array(turn(k, start_index=b))).sum())
        for a, b in ((0, 3), (5, 8), (20, 23))
    ]
    assert products[0] == pytest.approx(products[1], abs=1e-4)
    assert products[0] == pytest.approx(products[2], abs=1e-4)
    x = rng.normal(size=(1, 5, 8))
    assert array(turn(x))[:, 0] == pytest.approx(x[:, 0], abs=1e-6)
    with pytest.raises(fastnn.DataError, match="8 positions, got 9"):
        nn.PositionEmbedding(8)(np.zeros((1, 9, 4)))


def test_blocks_come_back_from_files(tmp_path, rng):
    source, target = (fastnn.Input((None,), dtype="int32") for _ in range(2))
    embed = nn.TokenAndPositionEmbedding(20, 12, 8)
    memory = nn.TransformerEncoder(16, 2)(embed(source))
    x = nn.TransformerDecoder(16, 2)(embed(target), memory)
    model = fastnn.Model([source, target], layers.Dense(20)(x))
    data = [rng.integers(0, 20, size=(3, n)) for n in (6, 4)]
    wanted = model.predict(data)
    model.save(tmp_path / "m.safetensors")
    again = fastnn.models.load_model(tmp_path / "m.safetensors")
    assert again.predict(data).tolist() == wanted.tolist()


def test_names_of_tensorflow_are_still_there():
    assert array(fastnn.nn.relu(np.array([-1.0, 2.0]))).tolist() == [0.0, 2.0]
    with pytest.raises(AttributeError, match="hint:"):
        _ = fastnn.nn.no_such_thing

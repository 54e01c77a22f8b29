"""GPT and Llama give the scores of `transformers` for the same files. Needs torch, transformers."""

import numpy as np
import pytest

import fastnn
from fastnn.applications import GPT, Llama

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
torch = pytest.importorskip("torch", reason="the comparison with transformers needs torch")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

TOKENS = np.random.default_rng(0).integers(0, 97, (2, 40))
SCALINGS = {
    "none": None,
    "linear": {"rope_type": "linear", "factor": 4.0},
    "llama3": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    },
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
    "yarn, all set": {
        "rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 32,
        "attention_factor": 1.3, "beta_fast": 8.0, "beta_slow": 2.0,
    },
}  # fmt: skip


def scores_of(model):
    with torch.no_grad():
        return model.eval()(torch.from_numpy(TOKENS)).logits.numpy()


def shaken(model):
    torch.manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model


def gpt():
    config = transformers.GPT2Config(
        vocab_size=97, n_positions=64, n_embd=32, n_layer=3, n_head=4,
        resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
    )  # fmt: skip
    return shaken(transformers.GPT2LMHeadModel(config))


def llama(shared=2, tied=False, scaling=None, theta=10000.0):
    config = transformers.LlamaConfig(
        vocab_size=97, hidden_size=32, intermediate_size=48, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=shared, max_position_embeddings=64,
        tie_word_embeddings=tied, rms_norm_eps=1e-5,
    )  # fmt: skip
    rope = {"rope_type": "default", "rope_theta": theta, **(scaling or {})}
    if hasattr(config, "rope_parameters"):
        config.rope_parameters = rope
    else:
        config.rope_theta, config.rope_scaling = theta, scaling
    return shaken(transformers.LlamaForCausalLM(config))


def ours(**more):
    return Llama(97, 32, 3, heads=4, hidden=48, max_length=64, **more)


def test_a_gpt_gives_the_scores_of_its_file(tmp_path):
    theirs = gpt()
    theirs.save_pretrained(tmp_path)
    model = GPT(97, 32, 3, heads=4, max_length=64)
    model.load_tensors(tmp_path / "model.safetensors")
    np.testing.assert_allclose(np.asarray(model(TOKENS)), scores_of(theirs), atol=1e-4)


@pytest.mark.parametrize("shared", [1, 2, 4])
@pytest.mark.parametrize("tied", [False, True])
def test_a_llama_with_shared_heads_and_tables_gives_the_scores_of_its_file(shared, tied, tmp_path):
    theirs = llama(shared, tied, theta=500000.0)
    theirs.save_pretrained(tmp_path)
    model = ours(shared_heads=shared, tied=tied, rope=500000.0)
    model.load_tensors(tmp_path)
    np.testing.assert_allclose(np.asarray(model(TOKENS)), scores_of(theirs), atol=1e-4)
    decoder = model.decoder()
    assert decoder.feed(TOKENS[0]) == pytest.approx(scores_of(theirs)[0, -1], abs=1e-4)


@pytest.mark.parametrize("kind", SCALINGS)
def test_stretched_positions_give_the_scores_of_their_file(kind, tmp_path):
    theirs = llama(scaling=SCALINGS[kind])
    theirs.save_pretrained(tmp_path)
    model = ours(shared_heads=2, tied=False, rope_scaling=SCALINGS[kind])
    model.load_tensors(tmp_path / "model.safetensors")
    np.testing.assert_allclose(np.asarray(model(TOKENS)), scores_of(theirs), atol=1e-4)
    if SCALINGS[kind]:
        plain = ours(shared_heads=2, tied=False)
        plain.load_tensors(tmp_path / "model.safetensors")
        assert np.abs(np.asarray(plain(TOKENS)) - scores_of(theirs)).max() > 1e-3


def test_weights_in_several_files_are_read_as_one(tmp_path):
    theirs = llama()
    theirs.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    for path in (tmp_path, tmp_path / "model.safetensors.index.json"):
        model = ours(shared_heads=2, tied=False)
        model.load_tensors(path)
        np.testing.assert_allclose(np.asarray(model(TOKENS)), scores_of(theirs), atol=1e-4)


def test_a_greedy_text_is_that_of_transformers(tmp_path):
    theirs = llama(tied=True).eval()
    theirs.save_pretrained(tmp_path)
    model = ours(shared_heads=2)
    model.load_tensors(tmp_path)
    prompt = TOKENS[:1, :5]
    theirs.generation_config.eos_token_id = theirs.generation_config.pad_token_id = None
    expected = theirs.generate(torch.from_numpy(prompt), do_sample=False, max_new_tokens=12)
    said = fastnn.generate(model, prompt[0].tolist(), max_tokens=12, temperature=0)
    assert list(said)[-12:] == expected[0, 5:].tolist()

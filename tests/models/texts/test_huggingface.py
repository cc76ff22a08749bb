import sys

import pytest
import torch
from torch import nn

from oml.errors import InvalidInputError
from oml.models import HFWrapper
from oml.models.texts.huggingface import check_model_type
from oml.models.texts.tokens import POOLINGS

NAMES = ["bert", "roberta", "distilbert", "modernbert", "t5", "gpt2", "llama", "qwen"]
LENGTHS = [5, 1, 3]


def make_batch(n_before: int = 0, n_after: int = 0) -> dict[str, torch.Tensor]:
    """Texts of different lengths, with padding on both sides whose ids are not to be looked at."""
    longest = max(LENGTHS)
    ids = torch.full((len(LENGTHS), n_before + longest + n_after), 7)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(LENGTHS):
        # as tokenizers do it: against the side without padding
        start = n_before + longest - length if n_before else 0
        ids[row, start : start + length] = torch.arange(10, 10 + length) + row
        mask[row, start : start + length] = 1
    return {"input_ids": ids, "attention_mask": mask}


def wrap(models, name: str, pooling: str, **kwargs) -> HFWrapper:
    if pooling == "cls" and name not in ("bert", "roberta", "distilbert"):
        with pytest.warns(UserWarning, match="its first token may not stand for the whole text"):
            return HFWrapper(models[name], pooling=pooling, **kwargs).eval()
    return HFWrapper(models[name], pooling=pooling, **kwargs).eval()


@torch.no_grad()
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_pooled_output_of_the_model_and_padding_changes_nothing(models, name, pooling):
    extractor = wrap(models, name, pooling)
    assert extractor.feat_dim == 16
    expected = []
    for row, length in enumerate(LENGTHS):
        states = models[name](torch.arange(10, 10 + length)[None] + row)["last_hidden_state"][0]
        expected.append({"cls": states[0], "mean": states.mean(dim=0), "last_token": states[-1]}[pooling])
    for n_before, n_after in [(0, 0), (0, 6), (6, 0), (3, 3)]:
        embeddings = extractor.extract(make_batch(n_before, n_after))
        torch.testing.assert_close(embeddings, torch.stack(expected), rtol=0, atol=2e-6)


@torch.no_grad()
def test_padding_of_all_texts_costs_nothing(models):
    widths = []
    handle = models["bert"].embeddings.register_forward_hook(lambda _m, _i, output: widths.append(output.shape[1]))
    HFWrapper(models["bert"]).eval()(make_batch(n_after=20))
    handle.remove()
    assert widths == [max(LENGTHS)]


@torch.no_grad()
@pytest.mark.parametrize(("n_texts", "length"), [(0, 5), (1, 5), (3, 1), (2, 0)])
def test_sizes(models, n_texts, length):
    batch = {key: value[:n_texts, :length] for key, value in make_batch().items()}
    embeddings = HFWrapper(models["bert"]).eval()(batch)
    assert embeddings.shape == (n_texts, 16)
    assert bool(embeddings.any()) == (embeddings.numel() > 0 and length > 0)


@torch.no_grad()
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("name", ["bert", "gpt2", "qwen"])
def test_a_text_without_tokens_is_zero_and_leaves_the_others_alone(models, name, pooling):
    extractor = wrap(models, name, pooling)
    batch = make_batch(n_before=2)
    expected = extractor(batch)
    batch["attention_mask"][1] = 0
    embeddings = extractor(batch)
    assert not embeddings[1].any()
    torch.testing.assert_close(embeddings[[0, 2]], expected[[0, 2]])


def test_unit_length(models):
    embeddings = HFWrapper(models["bert"], 16, "mean", normalise_features=True).eval()(make_batch())
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(len(LENGTHS)))


def test_it_trains(models):
    extractor = wrap(models, "qwen", "last_token")
    extractor(make_batch(n_before=2)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in extractor.parameters())
    extractor.zero_grad()


def test_other_models_of_the_same_interface():
    class Model(nn.Module):
        def forward(self, input_ids, attention_mask):
            return {"last_hidden_state": input_ids[..., None].float()}

    extractor = HFWrapper(Model(), feat_dim=1, pooling="mean")
    ids = torch.tensor([[4, 6, 9]])
    assert extractor({"input_ids": ids, "attention_mask": torch.tensor([[1, 1, 0]])}).item() == 5
    with pytest.raises(InvalidInputError, match=r"config of Model does not tell .*HFWrapper\(model, feat_dim="):
        HFWrapper(Model(), pooling="mean")
    with pytest.raises(InvalidInputError, match=r"gives embeddings of 1 features, but feat_dim=3\. .* give 1"):
        HFWrapper(Model(), feat_dim=3, pooling="mean")({"input_ids": ids})


def test_models_of_several_modalities_tell_the_size_of_their_texts(models):
    from transformers import CLIPConfig

    class Model(nn.Module):
        config = CLIPConfig(text_config={"hidden_size": 16}, vision_config={"hidden_size": 24})

        def forward(self, input_ids, attention_mask):
            return models["bert"](input_ids, attention_mask=attention_mask)

    extractor = HFWrapper(Model(), pooling="mean")
    assert extractor(make_batch()).shape == (3, extractor.feat_dim) == (3, 16)


def test_check_model_type(models, recwarn):
    for name in ("bert", "roberta", "distilbert"):
        check_model_type(models[name])
        check_model_type(type("Mine", (type(models[name]),), {})(models[name].config))
    assert not recwarn
    with pytest.warns(UserWarning, match=r"GPT2Model is none of BertModel, .*pooling='mean'"):
        check_model_type(models["gpt2"])


def test_errors(models):
    import transformers

    with pytest.raises(InvalidInputError, match=r"Unknown pooling of HFWrapper 'meen'\. Did you mean 'mean'"):
        HFWrapper(models["bert"], pooling="meen")
    config = transformers.T5Config(vocab_size=50, d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2)
    with pytest.raises(InvalidInputError, match=r"T5Model has an encoder and a decoder.*model\.get_encoder"):
        HFWrapper(transformers.T5Model(config))
    with_head = transformers.GPT2LMHeadModel(models["gpt2"].config)
    with pytest.raises(InvalidInputError, match=r"GPT2LMHeadModel gives logits.*but no last_hidden_state.*AutoModel"):
        HFWrapper(with_head, pooling="mean")(make_batch())
    with pytest.raises(InvalidInputError, match="HFWrapper takes what a tokenizer gives"):
        HFWrapper(models["bert"])(["a text"])


def test_a_folder_is_loaded(models, tmp_path):
    models["bert"].save_pretrained(tmp_path)
    batch = make_batch()
    found, expected = HFWrapper(tmp_path).eval()(batch), HFWrapper(models["bert"]).eval()(batch)
    assert torch.equal(found, expected)


def test_without_transformers(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r"pip install open-metric-learning\[nlp\]"):
        HFWrapper(tmp_path)


def test_options_are_printed(models):
    assert "feat_dim=16, pooling='cls', normalise_features=False" in repr(HFWrapper(models["bert"]))

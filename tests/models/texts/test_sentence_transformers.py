import sys

import pytest
import torch

import oml
from oml.errors import InvalidInputError
from oml.models import HFWrapper, SentenceTransformerExtractor

TEXTS = ["a red dress", "a lamp for the table, made of glass and brass", "dress"]


@pytest.fixture(scope="module")
def expected(sentence_model):
    return torch.from_numpy(sentence_model.encode(TEXTS))


@torch.no_grad()
@pytest.mark.parametrize("padding", [{"padding": True}, {"padding": "max_length", "max_length": 64}])
@pytest.mark.parametrize("side", ["right", "left"])
def test_embeddings_are_those_of_encode(sentence_model, tokenizer, expected, padding, side):
    batch = tokenizer(TEXTS, return_tensors="pt", padding_side=side, **padding)
    extractor = SentenceTransformerExtractor(sentence_model).eval()
    embeddings = extractor.extract(batch)
    assert embeddings.shape == (len(TEXTS), extractor.feat_dim)
    torch.testing.assert_close(embeddings, expected, rtol=0, atol=1e-6)


@torch.no_grad()
def test_mean_pooling_of_unit_length_is_the_same(minilm_folder, tokenizer, expected):
    extractor = HFWrapper(minilm_folder, pooling="mean", normalise_features=True).eval()
    assert extractor.feat_dim == 384
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    torch.testing.assert_close(extractor(batch), expected, rtol=0, atol=1e-6)
    assert (expected @ expected.T).argsort(descending=True)[0].tolist() == [0, 2, 1]


@torch.no_grad()
@pytest.mark.parametrize("n_texts", [0, 1])
def test_sizes(sentence_model, tokenizer, expected, n_texts):
    batch = {key: value[:n_texts] for key, value in tokenizer(TEXTS, padding=True, return_tensors="pt").items()}
    embeddings = SentenceTransformerExtractor(sentence_model)(batch)
    torch.testing.assert_close(embeddings, expected[:n_texts], rtol=0, atol=1e-6)


def test_what_belongs_to_the_model(sentence_model):
    extractor = SentenceTransformerExtractor(sentence_model)
    assert extractor.max_length == 256
    assert extractor.tokenizer("dress")["input_ids"] == [101, 4377, 102]


@torch.no_grad()
def test_shorter_embeddings(minilm_folder, tokenizer, expected, sentence_model):
    with sentence_model.truncate_embeddings(8):
        extractor = SentenceTransformerExtractor(sentence_model)
        assert extractor.feat_dim == 8
        embeddings = extractor(tokenizer(TEXTS, padding=True, return_tensors="pt"))
    torch.testing.assert_close(embeddings, expected[:, :8], rtol=0, atol=1e-6)


@pytest.mark.parametrize("mode", ["mean", "cls", "lasttoken"])
@pytest.mark.parametrize("is_normalised", [True, False])
@torch.no_grad()
def test_an_hf_wrapper_gives_the_same(sentence_model, tokenizer, mode, is_normalised):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, Pooling

    modules = [sentence_model[0], Pooling(384, pooling_mode=mode), *([Normalize()] if is_normalised else [])]
    extractor = SentenceTransformerExtractor(SentenceTransformer(modules=modules, device="cpu")).eval()
    wrapper = extractor.as_hf_wrapper().eval()
    assert wrapper.model is next(sentence_model[0].children())
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    torch.testing.assert_close(wrapper(batch), extractor(batch), rtol=0, atol=1e-6)


def test_what_is_no_hf_wrapper(sentence_model):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Dense, Pooling

    parts = [sentence_model[0], Pooling(384, pooling_mode="mean"), Dense(384, 8)]
    for modules in (parts, [parts[0], Pooling(384, pooling_mode="max")]):
        extractor = SentenceTransformerExtractor(SentenceTransformer(modules=modules, device="cpu"))
        with pytest.raises(
            InvalidInputError, match=r"Only a transformer with pooling \(of mean, cls, lasttoken\).*this is Tra"
        ):
            extractor.as_hf_wrapper()
    with sentence_model.truncate_embeddings(8):
        extractor = SentenceTransformerExtractor(sentence_model)
        with pytest.raises(
            InvalidInputError, match=r"with pooling 'mean' and 8 features\. Write an extractor of your own"
        ):
            extractor.as_hf_wrapper()


def test_a_bundle_of_it(sentence_model, tokenizer, expected, tmp_path):
    extractor = SentenceTransformerExtractor(sentence_model)
    args = {"max_length": extractor.max_length}
    oml.save_bundle(tmp_path / "minilm", extractor.as_hf_wrapper(), extractor.tokenizer, dataset_args=args)
    loaded, loaded_tokenizer, card = oml.load_bundle(tmp_path / "minilm")
    assert card.dataset_args == {"max_length": 256}
    with torch.no_grad():
        embeddings = loaded(loaded_tokenizer(TEXTS, padding=True, return_tensors="pt"))
    torch.testing.assert_close(embeddings, expected, rtol=0, atol=1e-6)


def test_a_folder_is_loaded(minilm_folder):
    assert SentenceTransformerExtractor(minilm_folder).feat_dim == 384


def test_without_sentence_transformers(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ImportError, match="pip install sentence-transformers"):
        SentenceTransformerExtractor(tmp_path)

import pytest
import torch
from torch.utils.data import DataLoader

from oml.datasets import TextLabeledDataset
from oml.errors import InvalidInputError
from oml.losses import SupConLoss
from oml.models import CharExtractor
from oml.utils import get_mock_texts_dataset

TEXTS = ["Spain", "", "España", "two words"]


def make_extractor(**options: object) -> CharExtractor:
    torch.manual_seed(0)
    return CharExtractor(n_buckets=50, feat_dim=6, **options)  # type: ignore[arg-type]


def embed_plainly(extractor: CharExtractor, text: str) -> torch.Tensor:
    """Add up the vectors one after another."""
    total = torch.zeros(6)
    for token in extractor.get_tokenizer().encode(text):
        weight = torch.log1p(torch.exp(3 * extractor.weights.weight[token, 0]))
        total = total + weight * extractor.vectors.weight[token]
    centred = total - total.mean()
    features = centred / torch.sqrt((centred**2).mean() + extractor.norm.eps)
    features = features * extractor.norm.weight + extractor.norm.bias
    features = features + extractor.block(features)
    return features / features.norm().clamp(min=1e-12) if extractor.normalise_features else features


@pytest.mark.parametrize("normalise_features", [True, False])
def test_embeddings_are_those_of_the_definition(normalise_features: bool) -> None:
    extractor = make_extractor(normalise_features=normalise_features).eval()
    with torch.no_grad():
        for parameter in extractor.parameters():
            parameter += torch.randn_like(parameter) / 3
        found = extractor(extractor.get_tokenizer()(TEXTS))
        expected = torch.stack([embed_plainly(extractor, text) for text in TEXTS])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert found.shape == (4, extractor.feat_dim)


@pytest.mark.parametrize("max_length", [40, 60])
def test_padding_changes_nothing(max_length: int) -> None:
    extractor = make_extractor().eval()
    tokenizer = extractor.get_tokenizer()
    padded = extractor(tokenizer(TEXTS, padding="max_length", max_length=max_length))
    torch.testing.assert_close(padded, extractor(tokenizer(TEXTS, max_length=max_length)))


def test_it_learns() -> None:
    torch.manual_seed(0)
    df, _ = get_mock_texts_dataset()
    extractor = CharExtractor(n_buckets=200, feat_dim=16, dropout=0)
    dataset = TextLabeledDataset(df, extractor.get_tokenizer(), max_length=128)
    batch = next(iter(DataLoader(dataset, batch_size=len(df))))
    optimizer = torch.optim.Adam(extractor.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        loss = SupConLoss()(extractor(batch["input_tensors"]), batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert extractor.vectors.weight[0].abs().max() == 0  # padding stays out of it


def test_state_goes_around() -> None:
    first, second = make_extractor().eval(), CharExtractor(n_buckets=50, feat_dim=6).eval()
    second.load_state_dict(first.state_dict())
    tokens = first.get_tokenizer()(TEXTS)
    assert torch.equal(first(tokens), second(tokens))


def test_bad_arguments() -> None:
    with pytest.raises(InvalidInputError, match="`feat_dim` must be 1 at least, got 0"):
        CharExtractor(feat_dim=0)
    with pytest.raises(InvalidInputError, match=r"`dropout` must be in \[0, 1\), got 1"):
        CharExtractor(dropout=1)
    with pytest.raises(InvalidInputError, match="CharExtractor takes what a tokenizer gives"):
        make_extractor()(["Spain"])  # type: ignore[arg-type]

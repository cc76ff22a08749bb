from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from oml.datasets import TextBaseDataset
from oml.datasets.encodings import collate_without_padding, cut_padding
from oml.errors import InvalidInputError
from tests.texts import CORPUS, make_bert, make_tokenizer


@pytest.mark.parametrize(
    ("masks", "multiple", "kept"),
    [
        (["1110", "1000"], 1, range(3)),
        (["0001", "0111"], 1, range(1, 4)),
        (["1111", "1000"], 1, range(4)),
        (["10000000", "11100000"], 4, range(4)),
        (["00000001", "00000111"], 4, range(4, 8)),
        (["1110000", "1111100"], 4, range(7)),
        (["10100", "01000"], 1, range(3)),
        (["0110", "0010"], 2, range(1, 3)),
        (["0100", "0000"], 2, range(2)),
        (["0000", "0000"], 1, range(1)),
        (["1", "1"], 8, range(1)),
    ],
)
def test_columns_that_are_kept(masks: list[str], multiple: int, kept: range) -> None:
    mask = torch.tensor([[int(letter) for letter in row] for row in masks])
    ids = torch.arange(mask.numel()).view_as(mask)
    extra = torch.arange(6).view(2, 3) if mask.shape[1] != 3 else torch.arange(8).view(2, 4)
    encoding = cut_padding({"input_ids": ids, "attention_mask": mask, "other": extra, "note": ["a", "b"]}, multiple)
    assert torch.equal(encoding["input_ids"], ids[:, kept.start : kept.stop])
    assert torch.equal(encoding["attention_mask"], mask[:, kept.start : kept.stop])
    assert torch.equal(encoding["other"], extra)
    assert encoding["note"] == ["a", "b"]


def test_other_values_are_left_as_they_are() -> None:
    values: list[Any] = [torch.zeros(2, 3), {"attention_mask": torch.zeros(3)}, {"a": 1}, ["a"], 5]
    assert all(cut_padding(value) is value for value in values)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("multiple", [1, 4])
def test_batches_are_those_that_the_tokenizer_would_pad(side: str, multiple: int) -> None:
    tokenizer = make_tokenizer(padding_side=side)
    dataset = TextBaseDataset(CORPUS, tokenizer, 20, extra_data={"weight": [1.0, 2.0, 3.0, 4.0, 5.0]})
    loader = DataLoader(dataset, 2, collate_fn=lambda items: collate_without_padding(items, multiple))
    for start, batch in zip((0, 2, 4), loader, strict=True):
        texts = CORPUS[start : start + 2]
        expected = tokenizer(texts, padding=True, pad_to_multiple_of=multiple, return_tensors="pt")
        assert type(batch["input_tensors"]) is type(expected)
        for key in expected:
            assert torch.equal(batch["input_tensors"][key], expected[key])
        assert batch["idx"].tolist() == list(range(start, start + len(texts)))
        assert batch["weight"].tolist() == [i + 1.0 for i in batch["idx"]]


def test_a_transformer_gives_the_same() -> None:
    model, dataset = make_bert(), TextBaseDataset(CORPUS, make_tokenizer(), 32)
    items = [dataset[i] for i in range(5)]
    full = next(iter(DataLoader(dataset, 5)))["input_tensors"]
    cut = collate_without_padding(items)["input_tensors"]
    n_kept = cut["input_ids"].shape[1]
    assert n_kept < 12
    with torch.no_grad():
        expected, found = model(**full).last_hidden_state, model(**cut).last_hidden_state
    mask = cut["attention_mask"].bool()
    torch.testing.assert_close(found[mask], expected[:, :n_kept][mask], rtol=1e-5, atol=1e-5)


def test_multiple_must_be_positive() -> None:
    with pytest.raises(InvalidInputError, match="`pad_to_multiple_of` must be 1 at least, got 0"):
        collate_without_padding([{"idx": 0}], pad_to_multiple_of=0)

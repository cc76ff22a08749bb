import inspect
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, Subset

from oml.const import RED
from oml.datasets import (
    TextBaseDataset,
    TextLabeledDataset,
    TextQueryGalleryDataset,
    TextQueryGalleryLabeledDataset,
)
from oml.datasets.texts import check_tokenizer_type
from oml.errors import InvalidInputError
from oml.interfaces.datasets import IHTMLVisualizableDataset, IVisualizableDataset
from oml.utils import get_mock_texts_dataset
from oml.utils.misc import visualize_text
from tests.texts import CORPUS, make_tokenizer

TABLES = [TextLabeledDataset, TextQueryGalleryDataset, TextQueryGalleryLabeledDataset]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return make_tokenizer()


def read_letters(text: str, max_length: int, **_: Any) -> dict[str, torch.Tensor]:
    """Tokenise as transformers do: a batch of one."""
    ids = [ord(letter) % 90 + 1 for letter in text][:max_length]
    mask = [1] * len(ids)
    padding = [0] * (max_length - len(ids))
    return {"input_ids": torch.tensor([ids + padding]), "attention_mask": torch.tensor([mask + padding])}


@pytest.mark.parametrize(
    ("cls", "parameters"),
    [
        (TextBaseDataset, "texts tokenizer max_length extra_data input_tensors_key index_key"),
        (TextLabeledDataset, "df tokenizer max_length extra_data input_tensors_key labels_key index_key label_mapping"),
        (
            TextQueryGalleryLabeledDataset,
            "df tokenizer max_length extra_data labels_key input_tensors_key index_key label_mapping",
        ),
        (TextQueryGalleryDataset, "df tokenizer max_length extra_data input_tensors_key index_key"),
    ],
)
def test_order_of_parameters_is_the_documented_one(cls: type, parameters: str) -> None:
    assert list(inspect.signature(cls).parameters) == parameters.split()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("max_length", [3, 5, 12])
def test_items_are_what_the_tokenizer_gives(side: str, max_length: int) -> None:
    tokenizer = make_tokenizer(padding_side=side)
    dataset = TextBaseDataset(CORPUS, tokenizer, max_length, extra_data={"weight": [1, 2, 3, 4, 5]})
    together = dataset.__getitems__([4, 0, -2])
    for i, item in [*enumerate(dataset), *zip([4, 0, 3], together, strict=True)]:
        expected = tokenizer(CORPUS[i], truncation=True, padding="max_length", max_length=max_length)
        assert set(item) == {"input_tensors", "idx", "weight"}
        assert (item["idx"], item["weight"]) == (i, i + 1)
        encoding = item["input_tensors"]
        assert type(encoding) is type(expected)
        assert set(encoding) == set(expected) == {"input_ids", "attention_mask", "token_type_ids"}
        for key, values in expected.items():
            assert encoding[key].dtype == torch.int64
            assert encoding[key].tolist() == values
            assert len(values) == max_length


def test_a_batch_can_be_moved_as_a_whole(tokenizer: Any) -> None:
    batch = next(iter(DataLoader(TextBaseDataset(CORPUS, tokenizer, 6), batch_size=5)))
    moved = batch["input_tensors"].to("meta")
    assert moved["input_ids"].shape == (5, 6)
    assert moved["input_ids"].device.type == "meta"


def test_any_callable_will_do() -> None:
    with pytest.warns(UserWarning, match="function is not a tokenizer of transformers"):
        dataset = TextBaseDataset(np.array(["ab", "c"]), read_letters, 3)
    batch = next(iter(DataLoader(dataset, batch_size=2)))["input_tensors"]
    assert type(batch) is dict
    assert batch["input_ids"].tolist() == [[8, 9, 0], [10, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_a_callable_may_give_sequences_of_any_kind(kind: Any) -> None:
    def tokenize(text: str, **_: Any) -> dict[str, Any]:
        return {"input_ids": kind([1, len(text)]), "attention_mask": kind([1, 1])}

    with pytest.warns(UserWarning, match="function is not"):
        dataset = TextBaseDataset(["abc", "a"], tokenize)
    batch = next(iter(DataLoader(dataset, batch_size=2)))["input_tensors"]
    assert batch["input_ids"].tolist() == [[1, 3], [1, 1]]


@pytest.mark.parametrize("cls", TABLES)
@pytest.mark.parametrize("n", [0, 1, 5])
def test_items_of_a_table_with_any_index(tokenizer: Any, cls: type, n: int) -> None:
    df = pd.DataFrame({"text": CORPUS[:n]}, index=range(9, 9 - n, -1))
    df = df.assign(label=[7, 7, 3, 3, 3][:n], is_query=[True, False, True, True, True][:n], is_gallery=True)
    df["category"] = list("aabbb")[:n]
    dataset = cls(df, tokenizer, max_length=5, index_key="i", input_tensors_key="x")
    assert isinstance(dataset, IVisualizableDataset)
    assert isinstance(dataset, IHTMLVisualizableDataset)
    assert (dataset.input_tensors_key, dataset.index_key, len(dataset)) == ("x", "i", n)
    for batch in DataLoader(Subset(dataset, range(n)), batch_size=5):
        assert batch["i"].tolist() == list(range(n))
        assert batch["category"] == list("aabbb")[:n]
        expected = tokenizer(CORPUS[:n], padding="max_length", truncation=True, max_length=5)
        assert batch["x"]["input_ids"].tolist() == expected["input_ids"]
        if cls is not TextQueryGalleryDataset:
            assert batch["labels"].tolist() == [7, 7, 3, 3, 3][:n]
        for i, item in enumerate(dataset):
            assert item["x"]["input_ids"].tolist() == expected["input_ids"][i]
            assert item["category"] == "aabbb"[i]
    if cls is not TextLabeledDataset:
        assert dataset.get_query_ids().tolist() == [0, 2, 3, 4][: max(0, n - 1) or n]
        assert dataset.get_gallery_ids().tolist() == list(range(n))


def test_a_subclass_may_change_its_items(tokenizer: Any) -> None:
    class Numbered(TextBaseDataset):
        def __getitem__(self, item: int) -> dict[str, Any]:
            return {**super().__getitem__(item), "n": 100 + item}

    class Marked(TextLabeledDataset):
        def __getitem__(self, item: int) -> dict[str, Any]:
            return {**super().__getitem__(item), "mark": True}

    batch = next(iter(DataLoader(Numbered(CORPUS, tokenizer, 5), batch_size=3)))
    assert batch["n"].tolist() == [100, 101, 102]
    batch = next(iter(DataLoader(Marked(get_mock_texts_dataset()[0], tokenizer, 5), batch_size=3)))
    assert batch["mark"].tolist() == [True] * 3


def test_workers_give_the_same(tokenizer: Any) -> None:
    dataset = TextLabeledDataset(get_mock_texts_dataset()[0], tokenizer, 16)
    for here, there in zip(DataLoader(dataset, 7), DataLoader(dataset, 7, num_workers=1), strict=True):
        assert torch.equal(here["input_tensors"]["input_ids"], there["input_tensors"]["input_ids"])
        assert type(here["input_tensors"]) is type(there["input_tensors"])


@pytest.mark.parametrize("cls", TABLES)
def test_texts_can_be_seen(tokenizer: Any, cls: type) -> None:
    df = pd.DataFrame({"text": ["one", "<two> & three"], "label": [0, 1], "is_query": True, "is_gallery": True})
    dataset = cls(df, tokenizer)
    assert np.array_equal(dataset.visualize(1, RED), visualize_text("<two> & three", RED))
    assert np.array_equal(dataset.visualize(0), visualize_text("one"))
    html = dataset.visualize_as_html(1, "a > b", RED)
    assert ">a &gt; b<" in html
    assert ">&lt;two&gt; &amp; three<" in html
    assert "rgb(255, 0, 0)" in html
    assert "<two>" not in html


def test_text_and_length_by_position(tokenizer: Any) -> None:
    dataset = TextBaseDataset(["ab", "öä"], tokenizer)
    assert (dataset.get_text(-1), dataset.get_lengths().tolist()) == ("öä", [2, 4])
    with pytest.raises(IndexError, match="Item 2 does not exist: there are 2 items"):
        dataset.visualize(2)
    with pytest.raises(IndexError, match="Item 2 does not exist"):
        dataset.__getitems__([0, 2])


def test_texts_that_are_none_are_named_by_row(tokenizer: Any) -> None:
    texts = pd.Series(["a", None, "b", float("nan"), 5], index=list("vwxyz"), dtype=object)
    with pytest.raises(InvalidInputError, match=r"3 of 5 are not; the first: NoneType None in row 1, float nan in row"):
        TextBaseDataset(texts, tokenizer)
    with pytest.raises(InvalidInputError, match=r"int 5 in row 4. An empty cell .* is read as NaN: fill it in"):
        TextBaseDataset(texts, tokenizer)
    with pytest.raises(InvalidInputError, match=r"got one text\. Put it into a list"):
        TextBaseDataset("one text", tokenizer)  # type: ignore[arg-type]


def test_empty_texts_are_named_by_row(tokenizer: Any) -> None:
    df = pd.DataFrame({"text": ["a", "", "b", " \n\t"], "label": 0})
    with pytest.raises(InvalidInputError, match=r"must not be empty, 2 of 4 are, in the rows 1, 3. Fill them in"):
        TextLabeledDataset(df, tokenizer)


def test_tokenizer_without_a_pad_token() -> None:
    tokenizer = make_tokenizer(pad_token=None)
    with pytest.raises(InvalidInputError, match=r"has no pad token.*tokenizer.pad_token = tokenizer.eos_token"):
        TextBaseDataset(CORPUS, tokenizer)
    tokenizer.pad_token = tokenizer.sep_token
    assert TextBaseDataset(CORPUS, tokenizer, 9)[0]["input_tensors"]["attention_mask"].tolist() == [1] * 6 + [0] * 3


@pytest.mark.parametrize("max_length", [0, -1, 2.0, True, None])
def test_max_length_must_be_positive(tokenizer: Any, max_length: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"`max_length` must be a number.*, 1 at least, got {max_length!r}"):
        TextBaseDataset(CORPUS, tokenizer, max_length)


def test_max_length_must_leave_room_for_the_text(tokenizer: Any) -> None:
    with pytest.raises(InvalidInputError, match="is 2, but the tokenizer adds 2 special tokens to each text"):
        TextBaseDataset(CORPUS, tokenizer, 2)


def test_more_tokens_than_the_model_takes(tokenizer: Any) -> None:
    with pytest.warns(UserWarning, match="`max_length` is 129, but .* its model takes at most 128 tokens"):
        TextBaseDataset(CORPUS, tokenizer, 129)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TextBaseDataset(CORPUS, tokenizer, 128)


@pytest.mark.parametrize(
    ("gives", "message"),
    [
        ({"tokens": torch.zeros(3), "attention_mask": torch.ones(3)}, "gave the keys tokens, attention_mask"),
        ({"input_ids": torch.zeros(3)}, "with the keys input_ids and attention_mask"),
        ([1, 2, 3], "gave list. Wrap it in a function"),
        ({"input_ids": torch.zeros(2, 3), "attention_mask": torch.ones(2, 3)}, r"'input_ids' has the shape \[2, 3\]"),
        ({"input_ids": torch.zeros(3), "attention_mask": torch.ones(4)}, r"Item 0: .*'attention_mask' .*shape \[4\]"),
        ({"input_ids": 3, "attention_mask": torch.ones(4)}, "Item 0: .*'input_ids' is int"),
    ],
)
def test_tokenizer_that_gives_something_else(gives: Any, message: str) -> None:
    with pytest.warns(UserWarning, match="function is not"):
        dataset = TextBaseDataset(CORPUS, lambda text, **_: gives)
    with pytest.raises(InvalidInputError, match=message):
        dataset[0]


def test_tokenizer_types(tokenizer: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_tokenizer_type(tokenizer)
    with pytest.warns(UserWarning, match="It will be called like one, and must give a mapping with input_ids"):
        check_tokenizer_type(len)
    with pytest.raises(TypeError, match=r"`tokenizer` must be callable, got str 'bert'\. For instance: transf"):
        check_tokenizer_type("bert")


def test_keys_that_are_taken(tokenizer: Any) -> None:
    with pytest.raises(InvalidInputError, match="`input_tensors_key` and `index_key` are both 'x'"):
        TextBaseDataset(CORPUS, tokenizer, input_tensors_key="x", index_key="x")
    with pytest.raises(InvalidInputError, match="has the key 'idx', but items have it already"):
        TextBaseDataset(CORPUS, tokenizer, extra_data={"idx": [1] * 5})
    with pytest.raises(InvalidInputError, match="lacks the columns text"):
        TextLabeledDataset(pd.DataFrame({"label": [1]}), tokenizer)

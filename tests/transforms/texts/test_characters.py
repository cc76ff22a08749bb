from itertools import product
from typing import Any
from unicodedata import combining, normalize
from zlib import crc32

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oml.datasets import TextBaseDataset
from oml.errors import InvalidInputError
from oml.transforms.texts.characters import BEGINNING, END, CharTokenizer


def split_plainly(text: str, sizes: tuple[int, ...]) -> list[str]:
    """Take each stretch of the text whose letters lie in one word."""
    letters = [letter for letter in normalize("NFKD", text.casefold()) if not combining(letter)]
    found = []
    for word in "".join(letters).split():
        framed = [BEGINNING, *word, END]
        for size, start in product(sizes, range(len(framed))):
            if start + size <= len(framed):
                found.append("".join(framed[start : start + size]))
    return found


@given(text=st.text(), sizes=st.sampled_from([(1,), (2, 3), (1, 2, 3, 4), (7,)]), n_buckets=st.sampled_from([2, 3, 99]))
def test_tokens_are_stretches_of_words(text: str, sizes: tuple[int, ...], n_buckets: int) -> None:
    tokenizer = CharTokenizer(n_buckets, sizes)
    expected = split_plainly(text, sizes)
    assert tokenizer.split(text) == expected
    hashes = [1 + crc32(token.encode("utf-8", "surrogatepass")) % (n_buckets - 1) for token in expected]
    assert tokenizer.encode(text) == hashes
    assert all(1 <= token < n_buckets for token in hashes)


def test_case_and_accents_do_not_count() -> None:
    tokenizer = CharTokenizer()
    assert tokenizer.encode("Éireann  ") == tokenizer.encode("eireann") != tokenizer.encode("eirean n")


@pytest.mark.parametrize("texts", ["Spain", ["Spain"], ["Spain", "", "España"], []])
@pytest.mark.parametrize("padding", [True, "max_length"])
@pytest.mark.parametrize("max_length", [3, 50])
def test_it_is_called_like_a_tokenizer_of_transformers(texts: Any, padding: Any, max_length: int) -> None:
    tokenizer = CharTokenizer()
    rows = [tokenizer.encode(text)[:max_length] for text in ([texts] if isinstance(texts, str) else texts)]
    length = max_length if padding == "max_length" else max(map(len, rows), default=0)
    encoding = tokenizer(texts, truncation=True, padding=padding, max_length=max_length, return_tensors="pt")
    arrays = tokenizer(texts, padding=padding, max_length=max_length, return_tensors="np", add_special_tokens=False)
    assert encoding["input_ids"].tolist() == [row + [0] * (length - len(row)) for row in rows]
    assert encoding["attention_mask"].tolist() == [[1] * len(row) + [0] * (length - len(row)) for row in rows]
    for key, values in encoding.items():
        assert values.dtype == torch.int64
        assert values.shape == (len(rows), length)
        assert np.array_equal(arrays[key], values.numpy())


def test_it_can_take_the_place_of_one_in_a_dataset() -> None:
    dataset = TextBaseDataset(["Spain", "España"], CharTokenizer(), max_length=20)  # with no warning
    for i, item in enumerate(dataset.__getitems__([0, 1])):
        assert item["input_tensors"].keys() == dataset[i]["input_tensors"].keys()
        assert all(torch.equal(value, dataset[i]["input_tensors"][key]) for key, value in item["input_tensors"].items())


def test_bad_arguments() -> None:
    with pytest.raises(InvalidInputError, match="`n_buckets` must be 2 at least, padding and a token, got 1"):
        CharTokenizer(1)
    for sizes in ((), (0, 1)):
        with pytest.raises(InvalidInputError, match="`sizes` must be numbers of letters, 1 at least"):
            CharTokenizer(sizes=sizes)
    with pytest.raises(InvalidInputError, match="`truncation` must be true"):
        CharTokenizer()("a", truncation=False)
    with pytest.raises(InvalidInputError, match="`padding` must be True or 'max_length', got False"):
        CharTokenizer()("a", padding=False)
    with pytest.raises(InvalidInputError, match="`return_tensors` must be 'pt' or 'np', got 'tf'"):
        CharTokenizer()("a", return_tensors="tf")

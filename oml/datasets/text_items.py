"""Texts as items of a dataset: tokenised, drawn, shown on a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import index
from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np
import torch

from oml.const import BLACK, INDEX_KEY, INPUT_TENSORS_KEY, TColor
from oml.datasets.encodings import MASK_KEY, rebuild
from oml.datasets.items import add_extra_data, check_extra_data, check_position
from oml.datasets.strings import PackedStrings
from oml.errors import MAX_SHOWN, InvalidInputError, check, show_some
from oml.interfaces.datasets import IBaseDataset, IHTMLVisualizableDataset, IVisualizableDataset
from oml.transforms.texts.characters import CharTokenizer
from oml.utils.html import visualize_text_as_html
from oml.utils.text_pictures import visualize_text

if TYPE_CHECKING:
    import pandas as pd

TTokenizer = Callable[..., Mapping[str, Any]]
TExtraData = Mapping[str, Any]  # sequences of any type: lists, arrays, tensors, pandas Series

NEEDED_KEYS = ("input_ids", MASK_KEY)


class TextBaseDataset(IBaseDataset, IVisualizableDataset, IHTMLVisualizableDataset):
    """
    Texts without labels: all that inference needs.

    Items are `{input_tensors_key: encoding, index_key: position, **values of extra_data}`. An encoding is what the
    tokenizer gives for one text: a mapping with at least `input_ids` and `attention_mask`, int64 of the shape
    (max_length,), so that batches are mappings of (B, max_length). `oml.datasets.encodings.collate_without_padding`
    cuts batches to their longest text.

    Args:
        texts: A list, an array, a pandas Series with any index.
        tokenizer: A tokenizer of transformers, or whatever is called as `tokenizer(text, truncation=True,
            padding="max_length", max_length=..., return_tensors="pt", add_special_tokens=True)`.
        max_length: The number of tokens to cut and to pad texts to.
        extra_data: Values to put into the items: sequences of the dataset's length.
        input_tensors_key: The key of the encoding in items.
        index_key: The key of the position in items.

    Raises:
        InvalidInputError: a text is blank or no text, `max_length` is less than 1, the tokenizer cannot pad, lengths do
            not agree, or a key is taken.
        TypeError: the tokenizer cannot be called.

    """

    def __init__(
        self,
        texts: Sequence[str] | np.ndarray | pd.Series,
        tokenizer: TTokenizer,
        max_length: int = 128,
        extra_data: TExtraData | None = None,
        input_tensors_key: str = INPUT_TENSORS_KEY,
        index_key: str = INDEX_KEY,
    ):
        check(input_tensors_key != index_key, f"`input_tensors_key` and `index_key` are both {index_key!r}.")
        check_tokenizer_type(tokenizer)
        self._texts = _pack_texts(texts)
        self.tokenizer = tokenizer
        self.max_length = _check_max_length(max_length, tokenizer)
        self.input_tensors_key = input_tensors_key
        self.index_key = index_key
        self.extra_data = check_extra_data(extra_data, len(texts), [input_tensors_key, index_key])

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, item: int) -> dict[str, Any]:
        """
        Tokenise a text.

        Raises:
            IndexError: there is no such item.
            InvalidInputError: the tokenizer gives something else than one encoding with the needed keys.

        """
        position = check_position(item, len(self))
        encoding = self._tokenize(self._texts[position], return_tensors="pt")
        tensors = {key: _squeeze(value) for key, value in encoding.items()}
        for key in NEEDED_KEYS:
            shape = list(getattr(tensors[key], "shape", ()))
            check(
                len(shape) == 1 and shape == list(tensors[NEEDED_KEYS[0]].shape),
                f"Item {position}: the tokenizer must give one sequence of tokens for a text, but {key!r} "
                f"{f'has the shape {shape}' if shape else f'is {type(tensors[key]).__name__}'}.",
            )
        return self._make_item(rebuild(encoding, tensors), position)

    def __getitems__(self, items: Sequence[int]) -> list[dict[str, Any]]:
        """Give several items, tokenised together where the tokenizer can: a few times faster, and the same."""
        if not _is_known(self.tokenizer) or type(self).__getitem__ is not TextBaseDataset.__getitem__:
            return [self[item] for item in items]
        positions = [check_position(item, len(self)) for item in items]
        # arrays: their conversion out of lists takes half the time of tensors'
        encoding = self._tokenize([self._texts[i] for i in positions], return_tensors="np")
        rows = {key: torch.from_numpy(value).unbind() for key, value in encoding.items()}
        encodings = [rebuild(encoding, {key: rows[key][i] for key in rows}) for i in range(len(positions))]
        return [self._make_item(*pair) for pair in zip(encodings, positions, strict=True)]

    def get_text(self, item: int) -> str:
        """Give the text of the item."""
        text: str = self._texts[check_position(item, len(self))]
        return text

    def get_lengths(self) -> np.ndarray:
        """Give the lengths of the texts in bytes, (N,), int64: an estimate of how many tokens they have."""
        return self._texts.sizes

    def visualize(self, item: int, color: TColor = BLACK) -> np.ndarray:
        """Draw the text as a picture (256, 256, 3), uint8, with a frame of 5 pixels."""
        return visualize_text(self.get_text(item), color)

    def visualize_as_html(self, item: int, title: str, color: TColor = BLACK) -> str:
        """Give a block of HTML that shows the whole text, as text, in a frame under the title."""
        return visualize_text_as_html(self.get_text(item), title, color)

    def _tokenize(self, text: str | list[str], return_tensors: str) -> Mapping[str, Any]:
        encoding = self.tokenizer(
            text,
            truncation=True,
            padding="max_length",
            max_length=self.max_length,
            return_tensors=return_tensors,
            add_special_tokens=True,
        )
        if not isinstance(encoding, Mapping) or any(key not in encoding for key in NEEDED_KEYS):
            keys = f"the keys {show_some(encoding)}" if isinstance(encoding, Mapping) else type(encoding).__name__
            raise InvalidInputError(
                f"The tokenizer must give a mapping with the keys {' and '.join(NEEDED_KEYS)}, {type(self.tokenizer)} "
                f"gave {keys}. Wrap it in a function that names them so."
            )
        return encoding

    def _make_item(self, encoding: Mapping[str, Any], position: int) -> dict[str, Any]:
        values = {self.input_tensors_key: encoding, self.index_key: position}
        add_extra_data(values, position, self.extra_data)
        return values


def check_tokenizer_type(tokenizer: Any) -> None:
    """
    Warn about a tokenizer that is neither one of transformers nor ours: it has to follow their conventions of calling.

    Raises:
        TypeError: it cannot be called.

    """
    if not callable(tokenizer):
        raise TypeError(
            f"`tokenizer` must be callable, got {type(tokenizer).__name__} {tokenizer!r}. For instance: "
            "transformers.AutoTokenizer.from_pretrained(folder)."
        )
    if not _is_known(tokenizer):
        warn(
            f"{type(tokenizer).__name__} is not a tokenizer of transformers. It will be called like one, and must give "
            f"a mapping with {' and '.join(NEEDED_KEYS)}.",
            UserWarning,
            stacklevel=3,
        )


def _is_of_transformers(tokenizer: Any) -> bool:
    # by name: whoever has such a tokenizer has imported transformers, which takes seconds, and nobody else has to
    return any(
        cls.__name__ == "PreTrainedTokenizerBase" and cls.__module__.startswith("transformers.")
        for cls in type(tokenizer).__mro__
    )


def _is_known(tokenizer: Any) -> bool:
    return _is_of_transformers(tokenizer) or isinstance(tokenizer, CharTokenizer)


def _check_max_length(max_length: int, tokenizer: Any) -> int:
    check(
        not isinstance(max_length, bool) and hasattr(max_length, "__index__") and index(max_length) >= 1,
        f"`max_length` must be a number of tokens, 1 at least, got {max_length!r}.",
    )
    if _is_of_transformers(tokenizer):
        check(
            tokenizer.special_tokens_map.get("pad_token") is not None,
            f"The tokenizer {type(tokenizer).__name__} has no pad token, so it cannot bring texts to one length. "
            "Usual cure: tokenizer.pad_token = tokenizer.eos_token; padding is masked, so any token will do.",
        )
        n_special = tokenizer.num_special_tokens_to_add()
        check(
            max_length > n_special,
            f"`max_length` is {max_length}, but the tokenizer adds {n_special} special tokens to each text, so nothing "
            "of it would be left. Take more.",
        )
        if max_length > tokenizer.model_max_length:
            warn(
                f"`max_length` is {max_length}, but the tokenizer says that its model takes at most "
                f"{tokenizer.model_max_length} tokens. Longer texts may fail inside the model.",
                stacklevel=3,
            )
    return index(max_length)


def _pack_texts(texts: Any) -> PackedStrings:
    rows = texts.iloc if hasattr(texts, "iloc") else texts
    check(
        not isinstance(texts, str),
        "`texts` must be a sequence of texts, got one text. Put it into a list.",
    )
    wrong = [i for i, text in enumerate(texts) if not isinstance(text, str)]
    shown = ", ".join(f"{type(rows[i]).__name__} {rows[i]!r} in row {i}" for i in wrong[:MAX_SHOWN])
    check(
        not wrong,
        f"`texts` must be strings, {len(wrong)} of {len(texts)} are not; the first: {shown}. An empty cell of a csv "
        "file is read as NaN: fill it in, or drop its row.",
    )
    packed = PackedStrings(texts, name="texts")
    blank = packed.find_blank()
    check(
        len(blank) == 0,
        f"`texts` must not be empty, {len(blank)} of {len(packed)} are, in the rows {show_some(blank)}. Fill them in, "
        "or drop their rows.",
    )
    return packed


def _squeeze(value: Any) -> Any:
    tensor = torch.from_numpy(value) if isinstance(value, np.ndarray) else value
    if isinstance(value, list):
        tensor = torch.tensor(value)
    return tensor.squeeze(0) if isinstance(tensor, torch.Tensor) and tensor.ndim == 2 else tensor

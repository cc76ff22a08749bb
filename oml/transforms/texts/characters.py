"""Parts of words as tokens."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from zlib import crc32

import numpy as np
from torch import Tensor, from_numpy

from oml.errors import check

BEGINNING, END = "\x02", "\x03"  # of a word


class CharTokenizer:
    """
    Gives the groups of neighbouring letters of each word as tokens: for names, codes and misspelt words.

    Case and accents do not count; a letter that is neither beginning nor end of its word looks different from those.
    The number of a token is its hash, so there is no vocabulary to learn or to keep, for any script.

    It is called like a tokenizer of transformers and can take the place of one in datasets of texts.

    Args:
        n_buckets: The number of different tokens, of which 0 is padding; groups of letters may share one.
        sizes: How many letters the groups have.

    Raises:
        InvalidInputError: less than two buckets, or a size that is not positive.

    Example:
        >>> CharTokenizer(sizes=(2,)).split("Ünal")
        ['\\x02u', 'un', 'na', 'al', 'l\\x03']
        >>> CharTokenizer()(["Spain", "Espagne"])["input_ids"].shape
        torch.Size([2, 30])

    """

    def __init__(self, n_buckets: int = 2**15, sizes: Sequence[int] = (1, 2, 3, 4)):
        check(n_buckets >= 2, f"`n_buckets` must be 2 at least, padding and a token, got {n_buckets}.")
        check(len(sizes) > 0 and min(sizes) >= 1, f"`sizes` must be numbers of letters, 1 at least, got {sizes}.")
        self.n_buckets = n_buckets
        self.sizes = tuple(sizes)

    def __call__(
        self,
        text: str | Sequence[str],
        truncation: bool = True,
        padding: bool | str = True,
        max_length: int = 128,
        return_tensors: str = "pt",
        add_special_tokens: bool = True,
    ) -> dict[str, Tensor] | dict[str, np.ndarray]:
        """
        Tokenise a text, or several.

        Args:
            text: One text counts as a list of one.
            truncation: Must be true: the result is an array.
            padding: `max_length` to always pad to that, True to pad to the longest text.
            max_length: More tokens of a text are cut off.
            return_tensors: `pt` for tensors of torch, `np` for arrays of numpy.
            add_special_tokens: Changes nothing: there are none.

        Returns:
            `input_ids` and `attention_mask`, (B, L), int64. A text without a letter has no token.

        Raises:
            InvalidInputError: an argument has another value.

        """
        check(bool(truncation), "`truncation` must be true for CharTokenizer.")
        check(padding in (True, "longest", "max_length"), f"`padding` must be True or 'max_length', got {padding!r}.")
        check(return_tensors in ("pt", "np"), f"`return_tensors` must be 'pt' or 'np', got {return_tensors!r}.")
        rows = [self.encode(one)[:max_length] for one in ([text] if isinstance(text, str) else text)]
        length = max_length if padding == "max_length" else max(map(len, rows), default=0)
        ids = np.zeros((len(rows), length), dtype=np.int64)
        for row, tokens in zip(ids, rows, strict=True):
            row[: len(tokens)] = tokens
        arrays = {"input_ids": ids, "attention_mask": (ids > 0).astype(np.int64)}
        return arrays if return_tensors == "np" else {key: from_numpy(array) for key, array in arrays.items()}

    def encode(self, text: str) -> list[int]:
        """Give the numbers of all tokens of a text, 1 to n_buckets - 1."""
        return [1 + crc32(token.encode("utf-8", "surrogatepass")) % (self.n_buckets - 1) for token in self.split(text)]

    def split(self, text: str) -> list[str]:
        """Give the tokens of a text as texts."""
        return list(self._split(text))

    def _split(self, text: str) -> Iterator[str]:
        letters = unicodedata.normalize("NFKD", text.casefold())
        for word in "".join(letter for letter in letters if not unicodedata.combining(letter)).split():
            framed = f"{BEGINNING}{word}{END}"
            for size in self.sizes:
                yield from (framed[start : start + size] for start in range(len(framed) - size + 1))

"""Many texts in two arrays."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from oml.datasets.items import check_position

BLOCK = 100_000  # texts that are Python objects at the same time while packing


class PackedStrings(Sequence[str]):
    """
    A sequence of texts or paths that does not change, kept as one array of bytes and one of offsets.

    A row costs its bytes plus 8, about a third of a Python string, and since there is no object to count references
    of, loader processes share the memory of their parent instead of copying it bit by bit.

    Args:
        values: Strings or path-like objects: a list, an array, a pandas Series with any index, ...
        name: What they are, for errors.

    Raises:
        TypeError: a value is neither a string nor path-like; the message names the row.

    Example:
        >>> paths = PackedStrings(["a.jpg", "b/c.jpg"])
        >>> len(paths), paths[0], paths[-1]
        (2, 'a.jpg', 'b/c.jpg')

    """

    def __init__(self, values: Any, name: str = "texts"):
        packed = _take_from_arrow(values)
        if packed is not None:
            self._bytes, self._offsets = packed
            return
        blocks, lengths = [], [np.zeros(1, dtype=np.int64)]
        for start in range(0, len(values), BLOCK):
            # by position: before pandas 3 a plain slice of a Series with an index of floats goes by label
            rows = values.iloc[start : start + BLOCK] if hasattr(values, "iloc") else values[start : start + BLOCK]
            encoded = [_encode(value, start + i, name) for i, value in enumerate(rows)]
            lengths.append(np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded)))
            blocks.append(np.frombuffer(b"".join(encoded), dtype=np.uint8))
        self._bytes = np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.uint8)
        self._offsets = np.cumsum(np.concatenate(lengths))

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @property
    def sizes(self) -> np.ndarray:
        """Sizes of the texts in bytes, (N,), int64."""
        return np.diff(self._offsets)

    def find_blank(self) -> np.ndarray:
        """
        Give the rows, ascending, whose texts are empty or only spaces.

        Example:
            >>> PackedStrings(["a", "", " b ", " \\n"]).find_blank().tolist()
            [1, 3]

        """
        is_blank = self.sizes == 0
        starts = self._offsets[:-1][~is_blank]  # only then each part of the sum has a byte
        if len(starts):
            is_blank[~is_blank] = ~np.logical_or.reduceat(self._bytes > ord(" "), starts)
        return np.flatnonzero(is_blank)

    def __getitem__(self, item: Any) -> Any:
        item = check_position(item, len(self))
        start, stop = self._offsets[item : item + 2].tolist()  # slices by integers of numpy take thrice as long
        return self._bytes[start:stop].tobytes().decode("utf-8", "surrogatepass")

    def find_endings(self, ending: str) -> np.ndarray:
        """
        Tell of each text (N,) whether it has the ending, in capital or small letters.

        Example:
            >>> PackedStrings(["a.wav", "B.WAV", "wav"]).find_endings(".wav").tolist()
            [True, True, False]

        """
        starts = self._offsets[1:] - len(ending.encode())
        has_ending = starts >= self._offsets[:-1]
        for i, (small, capital) in enumerate(zip(ending.lower().encode(), ending.upper().encode(), strict=True)):
            rows = np.flatnonzero(has_ending)
            letters = self._bytes[starts[rows] + i]
            has_ending[rows] = (letters == small) | (letters == capital)
        return has_ending


def _take_from_arrow(values: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Give the bytes and the offsets of a column that lies in Arrow's memory, without a copy; None for any other."""
    to_arrow = getattr(getattr(values, "array", None), "__arrow_array__", None)
    if to_arrow is None or not str(values.dtype).startswith(("str", "large_string")):
        return None
    import pyarrow

    try:
        column = to_arrow()
    except (ImportError, TypeError):  # a column of Python's strings
        return None
    if isinstance(column, pyarrow.ChunkedArray):  # joining a single chunk would copy it
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if isinstance(column, pyarrow.ChunkedArray) or column.null_count or len(column) == 0:
        return None
    column = column.cast(pyarrow.large_string())
    _, offsets, content = column.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[column.offset : column.offset + len(column) + 1]
    return np.frombuffer(content, dtype=np.uint8)[ends[0] : ends[-1]], ends - ends[0] if ends[0] else ends


def _encode(value: Any, row: int, name: str) -> bytes:
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str):
        raise TypeError(f"`{name}` must be strings or paths, got {type(value).__name__} {value!r} in row {row}.")
    return text.encode("utf-8", "surrogatepass")  # names of files may have bytes that are no text

"""Labels of any kind: what counts as one, several of them in a cell, and the way from names to integers and back."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from oml.const import LABELS_COLUMN
from oml.errors import InvalidInputError, check, show_some
from oml.utils.io import atomic_path

if TYPE_CHECKING:
    import pandas as pd

SEVERAL = (list, set, frozenset, np.ndarray)  # a cell of one of these holds several labels


class LabelMapping:
    """
    What the integer labels of a dataset stand for: label `i` is `names[i]` in the table.

    Args:
        names: Distinct and hashable, in the order of the integers.

    Raises:
        InvalidInputError: a name occurs twice.

    Example:
        >>> mapping = LabelMapping(["cat", "dog"])
        >>> mapping.encode(["dog", "cat", "dog"]).tolist(), mapping.decode([1, 0]), len(mapping)
        ([1, 0, 1], ['dog', 'cat'], 2)

    """

    def __init__(self, names: Iterable[Hashable]):
        self.names = [name.item() if isinstance(name, np.generic) else name for name in names]
        self._ids = {name: i for i, name in enumerate(self.names)}
        check(
            len(self._ids) == len(self.names),
            f"The names of labels must be distinct, got {len(self.names)} names, {len(self._ids)} of them different.",
        )

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LabelMapping) and self.names == other.names

    __hash__ = None  # type: ignore[assignment]  # as lists, whose content may be compared but which are no keys

    def encode(self, names: Any) -> np.ndarray:
        """
        Give the integers (N,) of names, int64.

        Raises:
            InvalidInputError: there is a name that the mapping does not have; the first ones are named.

        """
        import pandas as pd

        codes, values = factorize(names if hasattr(names, "dtype") else pd.Series(list(names), dtype=object))
        ids = np.array([self._ids.get(value, -1) for value in values] + [-1], dtype=np.int64)
        unknown = [repr(value) for value, i in zip(values, ids, strict=False) if i < 0]
        if unknown or (codes < 0).any():
            raise InvalidInputError(
                f"The mapping of {len(self)} labels does not have {show_some(unknown) or 'empty labels'}: it begins "
                f"with {show_some(map(repr, self.names))}. Drop such rows, or make a mapping of all labels."
            )
        return np.asarray(ids[codes])

    def decode(self, ids: Iterable[int]) -> list[Any]:
        """
        Give the names of integers: a list, an array or a tensor on the CPU.

        Raises:
            InvalidInputError: there is no such label.

        """
        given = np.asarray(ids if hasattr(ids, "__array__") else list(ids), dtype=np.int64)
        wrong = given[(given < 0) | (given >= len(self))]
        check(len(wrong) == 0, f"There are labels from 0 to {len(self) - 1}, got {show_some(wrong.tolist())}.")
        return [self.names[i] for i in given.tolist()]

    def save(self, path: Path | str) -> None:
        """
        Write the names to a file of JSON, as a whole or not at all.

        Raises:
            TypeError: a name is neither a text nor a number nor a tuple of these.

        """
        try:
            text = json.dumps(self.names, ensure_ascii=False, indent=1)
        except TypeError as error:
            raise TypeError(
                f"Only texts, numbers and tuples of them can be saved as names of labels: {error}."
            ) from error
        with atomic_path(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path | str) -> LabelMapping:
        """
        Read what `save` has written.

        Raises:
            FileNotFoundError: there is no such file.
            InvalidInputError: the file holds something else.

        """
        try:
            names = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise InvalidInputError(f"{path} is no mapping that `LabelMapping.save` has written: {error}.") from error
        check(isinstance(names, list), f"{path} is no mapping of labels: it must hold a list of names.")
        return cls(_to_tuples(names))


def has_several_labels(column: pd.Series) -> bool:
    """Tell whether the first filled cell of a column holds several labels: a list, a set or an array."""
    filled = column.dropna() if column.dtype == object else column[:0]
    return len(filled) > 0 and isinstance(filled.iloc[0], SEVERAL)


def find_label_names(column: pd.Series) -> list[Any]:
    """
    Give the distinct labels of a column in the order of their appearance, of items with several labels too.

    Raises:
        InvalidInputError: a cell is empty or holds something that is no label.

    """
    return list(factorize(flatten(column)[0] if has_several_labels(column) else check_filled(column))[1])


def find_no_labels(column: pd.Series) -> np.ndarray:
    """
    Tell of each cell of a column (N,) whether it holds no label: it is empty, not hashable, or one label among lists.

    Example:
        >>> import pandas as pd
        >>> find_no_labels(pd.Series(["cat", None, ["cat"]])).tolist()
        [False, True, True]

    """
    if column.dtype != object:
        return column.isna().to_numpy()
    has_several = has_several_labels(column)
    cells = ([*cell] if isinstance(cell, SEVERAL) else [None] if has_several else [cell] for cell in column)
    is_list = np.fromiter((isinstance(cell, SEVERAL) for cell in column), dtype=bool, count=len(column))
    is_wrong = (not all(_is_label(name) for name in names) for names in cells)
    return np.fromiter(is_wrong, dtype=bool, count=len(column)) | (is_list & (not has_several))


def _is_label(value: Any) -> bool:
    import pandas as pd

    return _is_hashable(value) and (isinstance(value, tuple) or not pd.isna(value))


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:  # also of a tuple that holds a list
        return False
    return True


def factorize(values: pd.Series | np.ndarray) -> tuple[np.ndarray, list[Any]]:
    """
    Give a code for each value (N,), -1 for missing ones, and the distinct values in the order of their appearance.

    Raises:
        InvalidInputError: a value is not hashable.

    """
    import pandas as pd

    is_object = values.dtype == object
    try:  # of an array: the distinct values of a Series become an index, which takes tuples apart
        codes, names = pd.factorize(np.asarray(values) if is_object else values, use_na_sentinel=True)
    except TypeError as error:
        raise InvalidInputError(
            f"Column {LABELS_COLUMN!r} must hold one kind of labels: hashable values, or only lists of them: {error}."
        ) from error
    return codes, names.tolist()


def check_filled(column: pd.Series) -> pd.Series:
    """
    Give the column back unless it has empty cells.

    Raises:
        InvalidInputError: it has; the first rows are named.

    """
    rows = np.flatnonzero(column.isna().to_numpy())
    check(
        len(rows) == 0,
        f"Column {LABELS_COLUMN!r} must not be empty, {len(rows)} rows are, at the positions {show_some(rows)}. Give "
        "each item a label.",
    )
    return column


def flatten(column: pd.Series) -> tuple[pd.Series, np.ndarray]:
    """
    Give the labels of a column of lists one row after another, and the offsets (N + 1,) where the rows begin.

    Raises:
        InvalidInputError: a cell is no list, or a label in one is empty.

    """
    import pandas as pd

    rows = [i for i, cell in enumerate(column) if not isinstance(cell, SEVERAL)]
    check(
        not rows,
        f"Column {LABELS_COLUMN!r} holds lists of labels, but not in {len(rows)} rows, at the positions "
        f"{show_some(rows)}. Make each cell a list; an empty one has no labels.",
    )
    offsets = np.zeros(len(column) + 1, dtype=np.int64)
    np.cumsum([len(cell) for cell in column], out=offsets[1:])
    ordered = (sorted(cell, key=repr) if isinstance(cell, set | frozenset) else cell for cell in column)
    flat = pd.Series([name for cell in ordered for name in cell], dtype=object)
    check(not flat.isna().any(), f"Column {LABELS_COLUMN!r} has empty labels within its lists. Take them out.")
    return flat, offsets


def _to_tuples(value: Any) -> Any:
    return [tuple(_to_tuples(v)) if isinstance(v, list) else v for v in value]

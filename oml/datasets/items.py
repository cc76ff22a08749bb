"""What all datasets do with positions and with extra records."""

import operator
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from oml.errors import InvalidInputError, check


def check_position(item: Any, length: int) -> int:
    """
    Give a position as a plain integer that is not negative.

    Raises:
        IndexError: the position lies outside the dataset.
        TypeError: it is not an integer.

    Example:
        >>> check_position(-1, 10)
        9

    """
    position = operator.index(item)
    if not -length <= position < length:
        raise IndexError(f"Item {position} does not exist: there are {length} items.")
    return position % length


def check_extra_data(
    extra_data: Mapping[str, Any] | None, length: int, taken_keys: Collection[str]
) -> dict[str, Sequence[Any]]:
    """
    Check the extra records of a dataset; pandas Series become arrays, so that rows count from 0 whatever their index.

    Args:
        extra_data: Records of any type that has a length and can be indexed by position; None means there are none.
        length: The number of items in the dataset.
        taken_keys: Keys that items have already.

    Raises:
        InvalidInputError: a record has another length than the dataset, or a key that items have already.

    """
    records = {}
    for key, record in (extra_data or {}).items():
        if key in taken_keys:
            raise _name_clash(key, taken_keys)
        check(
            len(record) == length,
            f"A record of `extra_data` must have a value for each of the {length} items, {key!r} has {len(record)}.",
        )
        to_numpy = getattr(record, "to_numpy", None)
        records[key] = record if to_numpy is None else to_numpy()
    return records


def add_extra_data(item: dict[str, Any], position: int, records: Mapping[str, Sequence[Any]]) -> None:
    """
    Put the values of the records at the position into an item.

    Raises:
        InvalidInputError: the item has such a key already.

    """
    for key, record in records.items():
        if key in item:
            raise _name_clash(key, item)
        item[key] = record[position]


def _name_clash(key: str, taken_keys: Collection[str]) -> InvalidInputError:
    return InvalidInputError(
        f"`extra_data` has the key {key!r}, but items have it already (their keys: {', '.join(taken_keys)}). Rename it."
    )

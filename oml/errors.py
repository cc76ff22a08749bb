"""Errors raised at the public door, and the wording that they share."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

MAX_SHOWN = 5


class InvalidInputError(ValueError, AssertionError):
    """
    The user's input breaks a documented rule.

    It is a `ValueError` (what it is) and an `AssertionError` (what scripts written for Open Metric Learning catch), and
    unlike an `assert` it also works under `python -O`.
    """


def check(condition: bool, message: str) -> None:
    """
    Raise `InvalidInputError` with the message unless the condition holds.

    Example:
        >>> check(2 > 1, "two is more than one")

    """
    if not condition:
        raise InvalidInputError(message)


def show_some(values: Iterable[Any], limit: int = MAX_SHOWN) -> str:
    """
    Give the first values as text, and how many were left out.

    Example:
        >>> show_some(range(8), limit=3)
        '0, 1, 2 (and 5 more)'

    """
    values = list(values)
    text = ", ".join(str(v) for v in values[:limit])
    return f"{text} (and {len(values) - limit} more)" if len(values) > limit else text


def unknown_name_message(kind: str, name: Any, known: Sequence[str]) -> str:
    """
    Word the error about a name that is not in a list of known ones: the nearest names first, then all of them.

    Example:
        >>> unknown_name_message("miner", "hard_triplet", ["hard_triplets", "pairs"])
        "Unknown miner 'hard_triplet'. Did you mean 'hard_triplets'? Known: hard_triplets, pairs."

    """
    nearest = get_close_matches(str(name), list(known), n=3)
    hint = f" Did you mean {' or '.join(repr(n) for n in nearest)}?" if nearest else ""
    return f"Unknown {kind} {name!r}.{hint} Known: {', '.join(sorted(known)) or 'none'}."

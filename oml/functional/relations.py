"""What makes two items belong together: labels, several labels, or a given relevance, decided once for all losses."""

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple, Union

import torch
from torch import Tensor

from oml.errors import check, show_some
from oml.interfaces.features import check_finite
from oml.interfaces.miners import read_labels


class Relevance(NamedTuple):
    """
    A given relation instead of labels: which candidates belong to which anchors.

    `matrix` (A, C), bool or numbers: whatever is not 0 belongs together. It need not be symmetric, nor transitive. What
    it says about an item and itself does not matter.
    """

    matrix: Tensor


_SEVERAL = (set, frozenset, list, tuple)

TRelation = Union[Tensor, Sequence[int], Sequence[Iterable[Hashable]], Relevance]  # noqa: UP007 - read at run time


def find_same(
    labels: TRelation, features: Tensor, ref_labels: TRelation | None = None, ref_features: Tensor | None = None
) -> Tensor:
    """
    Give which items belong together: bool (A, C) on the device of the features.

    The candidates are the references if there are any, else the batch itself (C = A). Nothing waits for the device.

    Args:
        labels: What belongs together, in one of four ways. Integers (A,), a tensor or a list: those with one label.
            Several labels per item, as a multi-hot tensor (A, L) of any dtype, or as a list of sets: those that share a
            label, so that an item without labels belongs to nobody. Or `Relevance(matrix)`, (A, C).
        features: (A, D).
        ref_labels: The same for the references, in the same way; None with a `Relevance`, which says it all.
        ref_features: (C, D).

    Raises:
        TypeError: the labels are none of the above.
        InvalidInputError: they are not as many as the features, or not integers, or those of the references are missing
            or of another kind.

    Example:
        >>> find_same([7, 8, 7], torch.zeros(3, 4)).int()
        tensor([[1, 0, 1],
                [0, 1, 0],
                [1, 0, 1]], dtype=torch.int32)
        >>> find_same([{"red", "dress"}], torch.zeros(1, 4), [{"red"}, {"blue", "coat"}], torch.zeros(2, 4))
        tensor([[ True, False]])

    """
    check_features(features, ref_features)
    candidates = features if ref_features is None else ref_features
    if isinstance(labels, Relevance):
        return _read_relevance(labels.matrix, len(features), candidates, ref_labels)
    check(
        (ref_features is None) == (ref_labels is None),
        "ref_features and ref_labels must be given together, or neither; only "
        f"{'ref_labels' if ref_features is None else 'ref_features'} was given.",
    )
    others = labels if ref_labels is None else ref_labels
    if _is_list_of_sets(labels) and _is_list_of_sets(others):
        labels, others = _encode_sets(labels, others)  # type: ignore[arg-type]
    table = _to_table("labels", labels, features)
    ref_table = table if ref_labels is None else _to_table("ref_labels", others, candidates)
    check(
        table.shape[1:] == ref_table.shape[1:],
        f"labels and ref_labels must be of one kind, and multi-hot ones of one width, got {tuple(table.shape)} and "
        f"{tuple(ref_table.shape)}.",
    )
    if table.ndim == 1:
        return table[:, None] == ref_table
    with torch.autocast(table.device.type, enabled=False):
        return (table != 0).float() @ (ref_table != 0).float().T > 0


def find_pairs(
    labels: TRelation,
    features: Tensor,
    ref_labels: TRelation | None = None,
    ref_features: Tensor | None = None,
    with_batch: bool = False,
) -> tuple[Tensor, Tensor]:
    """
    Give the positive and the negative candidates of each anchor: two masks (A, C).

    Without references nobody is his own positive or negative. With references nobody is among them; `with_batch` the
    anchors themselves are candidates before them, (A, A + C), for any labels but a `Relevance`. Other arguments and
    errors are those of `find_same`.

    Example:
        >>> positives, negatives = find_pairs([7, 8, 7], torch.zeros(3, 4))
        >>> positives.int().tolist(), negatives.int().tolist()
        ([[0, 0, 1], [0, 0, 0], [1, 0, 0]], [[0, 1, 0], [1, 0, 1], [0, 1, 0]])

    """
    same = find_same(labels, features, ref_labels, ref_features)
    if with_batch and ref_features is not None:
        same = torch.cat([find_same(labels, features), same], dim=1)
    negatives = ~same
    if ref_features is None or with_batch:
        same.fill_diagonal_(False)  # of the first columns
        negatives.fill_diagonal_(False)
    return same, negatives


def check_features(features: Tensor, ref_features: Tensor | None = None) -> None:
    """
    Raise unless the features are matrices of one width on one device, of finite numbers.

    Raises:
        InvalidInputError: they are not.

    """
    check(features.ndim == 2, f"features must be a matrix (B, D), got the shape {tuple(features.shape)}.")
    check_finite(features)
    if ref_features is None:
        return
    check(
        ref_features.ndim == 2 and ref_features.shape[1] == features.shape[1],
        f"ref_features must be a matrix (C, D) with the width of the features, {features.shape[1]}, got the shape "
        f"{tuple(ref_features.shape)}.",
    )
    check(
        ref_features.device == features.device,
        f"ref_features must be where the features are, on {features.device}, got {ref_features.device}. "
        "Move them with .to(features.device).",
    )


def _to_table(name: str, labels: TRelation, features: Tensor) -> Tensor:
    """Give integers (B,) or something multi-hot (B, L), on the device of the features."""
    if not isinstance(labels, Tensor | list):
        raise TypeError(
            f"{name} must be a tensor, a list of integers, a list of sets, or Relevance(matrix), got "
            f"{type(labels).__name__}. Convert arrays with torch.as_tensor."
        )
    check(
        not _is_list_of_sets(labels),
        f"{name} must be of the kind of the other labels, got sets beside others.",
    )
    table = read_labels(labels, name)
    is_integer = not table.is_floating_point() and not table.is_complex()
    if table.ndim == 2 and table.shape[1] == 1 and is_integer and table.dtype != torch.bool:
        table = table[:, 0]
    check(table.ndim in (1, 2), f"{name} must be (B,), or multi-hot (B, L), got the shape {tuple(table.shape)}.")
    check(
        len(table) == len(features),
        f"There must be one label per row of the features, got {len(table)} {name} and {len(features)} features.",
    )
    check(
        table.ndim == 2 or is_integer or not len(table),  # an empty list gives an empty tensor of float32
        f"{name} (B,) must be integers, got {table.dtype}. Convert them with .long(), or give them multi-hot (B, L).",
    )
    return table.to(features.device, non_blocking=True)


def _read_relevance(matrix: Tensor, n_anchors: int, candidates: Tensor, ref_labels: TRelation | None) -> Tensor:
    check(ref_labels is None, "ref_labels must be None where labels are a Relevance: its columns are the references.")
    expected = (n_anchors, len(candidates))
    check(
        tuple(matrix.shape) == expected,
        f"The relevance must have a row for each anchor and a column for each candidate, {expected}, got the shape "
        f"{tuple(matrix.shape)}.",
    )
    # a copy also where nothing changes: callers write into the diagonal
    return (matrix != 0).to(candidates.device, non_blocking=True)


def _is_list_of_sets(labels: object) -> bool:
    return isinstance(labels, list) and len(labels) > 0 and isinstance(labels[0], _SEVERAL)


def _encode_sets(labels: list[Iterable[Hashable]], ref_labels: list[Iterable[Hashable]]) -> tuple[Tensor, Tensor]:
    """Give the two lists as multi-hot tensors over the labels that occur."""
    for items in (labels, ref_labels):
        odd = [item for item in items if not isinstance(item, _SEVERAL)]
        check(not odd, f"Labels must be a set for each item, or an integer for each, got {show_some(odd)} beside sets.")
    columns: dict[Hashable, int] = {}
    both = [
        [(row, columns.setdefault(label, len(columns))) for row, item in enumerate(items) for label in item]
        for items in (labels, ref_labels)
    ]
    tables = [torch.zeros(len(items), len(columns), dtype=torch.bool) for items in (labels, ref_labels)]
    for table, places in zip(tables, both, strict=True):
        rows, hot = torch.tensor(places, dtype=torch.long).reshape(-1, 2).unbind(1)
        table[rows, hot] = True
    return tables[0], tables[1]

"""From sequences of tensors, one per query, to arrays."""

from collections.abc import Sequence

import torch
from torch import Tensor

from oml.errors import check, show_some
from oml.functional.ragged import concat_rows, mask_lengths, pad_rows
from oml.functional.search import NO_ID
from oml.retrieval.checks import InvalidResultsError
from oml.retrieval.ground_truth import ListedGroundTruth


def read_answers(distances: Sequence[Tensor], retrieved_ids: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """
    Give padded distances (Q, K), padded ids (Q, K) and lengths (Q,).

    Raises:
        InvalidInputError: arrays instead of sequences, or the numbers of queries differ.
        InvalidResultsError: a tensor is not 1-D, or the distances and the ids of a query differ in number.

    """
    _check_rows("distances", distances)
    _check_rows("retrieved_ids", retrieved_ids)
    check(
        len(distances) == len(retrieved_ids),
        f"`distances` and `retrieved_ids` must have one tensor per query, "
        f"got {len(distances)} and {len(retrieved_ids)}.",
    )
    values, ids = (
        concat_rows(_to_float(distances), "distances"),
        concat_rows(retrieved_ids, "retrieved_ids", torch.int64),
    )
    differ = (values.lengths != ids.lengths.to(values.lengths.device)).nonzero()[:, 0].tolist()
    if differ:
        text = show_some(f"query {i} has {len(distances[i])} and {len(retrieved_ids[i])}" for i in differ)
        raise InvalidResultsError(f"`distances` and `retrieved_ids` of a query must have the same length: {text}.")
    return pad_rows(values, torch.inf), pad_rows(ids, NO_ID), values.lengths


def _to_float(rows: Sequence[Tensor]) -> list[Tensor]:
    return [row if row.is_floating_point() else row.float() for row in rows]


def read_ground_truth(gt_ids: Sequence[Tensor] | None) -> ListedGroundTruth | None:
    """Give the lists of relevant galleries, if there are any; raises as `read_answers`."""
    if gt_ids is None:
        return None
    _check_rows("gt_ids", gt_ids)
    return ListedGroundTruth(concat_rows(gt_ids, "gt_ids", torch.int64))


def read_lengths(distances: Tensor, retrieved_ids: Tensor, lengths: Tensor | None) -> Tensor:
    """
    Give the number of answers of each query in padded arrays, all columns by default, and overwrite the padding.

    Args:
        distances: (Q, K); the padding becomes infinity.
        retrieved_ids: (Q, K); the padding becomes -1.
        lengths: (Q,), if there is padding.

    Raises:
        InvalidResultsError: the arrays differ in shape.
        InvalidInputError: there is not one length from 0 to K per query.

    """
    if distances.shape != retrieved_ids.shape or distances.ndim != 2:
        raise InvalidResultsError(
            "`distances` and `retrieved_ids` must have the same shape (Q, K), got "
            f"{tuple(distances.shape)} and {tuple(retrieved_ids.shape)}."
        )
    n_queries, width = distances.shape
    if lengths is None:
        return torch.full((n_queries,), width, device=distances.device)
    is_fine = lengths.shape == (n_queries,) and bool(((lengths >= 0) & (lengths <= width)).all())
    check(is_fine, f"`lengths` must be {n_queries} numbers from 0 to {width}.")
    is_padding = ~mask_lengths(lengths, width)
    distances.masked_fill_(is_padding, torch.inf)
    retrieved_ids.masked_fill_(is_padding, NO_ID)
    return lengths


def _check_rows(name: str, rows: Sequence[Tensor]) -> None:
    is_array = isinstance(rows, Tensor) or hasattr(rows, "__array__")
    check(not is_array, f"`{name}` must be a sequence of 1-D tensors. For arrays use RetrievalResults.from_arrays.")
    bad = [i for i, row in enumerate(rows) if row.ndim != 1]
    if bad:
        raise InvalidResultsError(f"`{name}` must hold 1-D tensors, those of the queries {show_some(bad)} are not.")

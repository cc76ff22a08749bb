"""The documented functions of the exact search: lists of answers and of relevant galleries, on top of `search`."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oml.const import BS_KNN
from oml.errors import check
from oml.functional.relevance import list_relevant
from oml.functional.search import Answers, search
from oml.functional.search_exclusion import TKeys
from oml.functional.search_rows import TMatrix

TKnn = tuple[list[Tensor], list[Tensor], list[Tensor] | None]


def batched_knn(
    embeddings: TMatrix,
    ids_query: Tensor,
    ids_gallery: Tensor,
    top_n: int,
    sequence_ids: Tensor | None = None,
    labels_gt: Tensor | np.ndarray | None = None,
    bs: int = BS_KNN,
    verbose: bool = False,
) -> TKnn:
    """
    Find the nearest galleries of each query within one set of embeddings; an item is never an answer to itself.

    Args:
        embeddings: (L, D).
        ids_query: rows of the queries, (Q,).
        ids_gallery: rows of the galleries, (G,); the two may overlap and together cover all rows.
        top_n: answers wanted, at least 1; no more than G are given.
        sequence_ids: integers (L,); a gallery of the query's sequence is no answer.
        labels_gt: integers (L,).
        bs: upper limit of the queries in a block.
        verbose: show a progress bar.

    Returns:
        Per query, as lists of 1-D tensors of possibly different lengths: ascending distances; positions of the answers
        within `ids_gallery`; positions of the relevant galleries, ascending (None without labels).

    Raises:
        InvalidInputError: sizes that do not match, ids out of range, top_n < 1, embeddings with NaN or infinity.

    Example:
        >>> embeddings = torch.tensor([[0.0], [1.0], [3.0]])
        >>> ids = torch.arange(3)
        >>> batched_knn(embeddings, ids[::2], ids, top_n=2, labels_gt=torch.tensor([5, 6, 5]))
        ([tensor([1., 3.]), tensor([2., 3.])], [tensor([1, 2]), tensor([1, 0])], [tensor([2]), tensor([0])])

    """
    answers, labels, keys = search_within(
        embeddings, ids_query, ids_gallery, top_n, sequence_ids, labels_gt, bs, verbose
    )
    return _as_lists(answers, labels, keys)


def batched_knn_qg(
    embeddings_query: TMatrix,
    embeddings_gallery: TMatrix,
    top_n: int,
    labels_query: Tensor | np.ndarray | None = None,
    labels_gallery: Tensor | np.ndarray | None = None,
    ids_query: Tensor | None = None,
    ids_gallery: Tensor | None = None,
    sequence_ids_query: Tensor | None = None,
    sequence_ids_gallery: Tensor | None = None,
    bs: int = BS_KNN,
    verbose: bool = False,
) -> TKnn:
    """
    Find the nearest galleries of each query, the two being separate sets of embeddings.

    Of the following pairs both or none are given.

    Args:
        embeddings_query: (Q, D).
        embeddings_gallery: (G, D).
        top_n: answers wanted, at least 1; no more than G are given.
        labels_query: integers (Q,).
        labels_gallery: integers (G,).
        ids_query: integers (Q,); a gallery of the same id is the same item and no answer.
        ids_gallery: integers (G,).
        sequence_ids_query: integers (Q,); a gallery of the query's sequence is no answer.
        sequence_ids_gallery: integers (G,).
        bs: upper limit of the queries in a block.
        verbose: show a progress bar.

    Returns:
        As `batched_knn`.

    Raises:
        InvalidInputError: one of a pair without the other, sizes that do not match, top_n < 1, embeddings with NaN or
            infinity.

    """
    answers, labels, keys = search_between(
        embeddings_query,
        embeddings_gallery,
        top_n,
        labels=(labels_query, labels_gallery),
        ids=(ids_query, ids_gallery),
        sequence_ids=(sequence_ids_query, sequence_ids_gallery),
        bs=bs,
        verbose=verbose,
    )
    return _as_lists(answers, labels, keys)


def check_both_are_nones_or_not_nones(a: Any, b: Any, name: str = "a value for queries and one for galleries") -> None:
    """Raise `InvalidInputError` if one is given without the other."""
    check((a is None) == (b is None), f"Either both or none must be given: {name}.")


def check_len_and_ndim(a: Any, expected_len: int, expected_ndim: int, name: str = "the tensor") -> None:
    """Raise `InvalidInputError` unless the length and the number of dimensions are the expected ones."""
    check(
        len(a) == expected_len and a.ndim == expected_ndim,
        f"Expected {name} to have the length {expected_len} and {expected_ndim} dimension(s), "
        f"got the shape {tuple(a.shape)}.",
    )


def search_within(
    embeddings: TMatrix,
    ids_query: Tensor,
    ids_gallery: Tensor,
    top_n: int,
    sequence_ids: Tensor | None = None,
    labels_gt: Tensor | np.ndarray | None = None,
    bs: int = BS_KNN,
    verbose: bool = False,
    find: Callable[..., Answers] = search,
) -> tuple[Answers, TKeys | None, list[TKeys]]:
    """
    Do what `batched_knn` does, giving arrays: the answers, the labels of both sides and the keys of what was excluded.

    `find` is called as `search` is, which it may replace.
    """
    check(top_n >= 1, f"`top_n` must be at least 1, got {top_n}.")
    n = len(embeddings)
    for ids, name in ((ids_query, "ids_query"), (ids_gallery, "ids_gallery")):
        check_len_and_ndim(ids, len(ids), 1, f"`{name}`")
        is_inside = not len(ids) or bool((ids.min() >= 0) & (ids.max() < n))
        check(is_inside, f"`{name}` must be rows of the {n} embeddings, got ids from {_show_range(ids)}.")
    check(
        n <= len(ids_query) + len(ids_gallery),
        f"Every embedding must be a query or a gallery, got {n} embeddings, {len(ids_query)} queries and "
        f"{len(ids_gallery)} galleries.",
    )
    labels = _pick(labels_gt, n, ids_query, ids_gallery, "labels_gt")
    sequences = _pick(sequence_ids, n, ids_query, ids_gallery, "sequence_ids")
    keys = [(ids_query, ids_gallery)] + ([] if sequences is None else [sequences])
    with _show_progress(len(ids_query), verbose) as on_progress:
        answers = find(
            embeddings,
            embeddings,
            top_n,
            query_rows=ids_query,
            gallery_rows=ids_gallery,
            exclude=keys,
            max_query_block=bs,
            on_progress=on_progress,
        )
    return answers, labels, keys


def search_between(
    embeddings_query: TMatrix,
    embeddings_gallery: TMatrix,
    top_n: int,
    labels: tuple[Any, Any] = (None, None),
    ids: tuple[Any, Any] = (None, None),
    sequence_ids: tuple[Any, Any] = (None, None),
    bs: int = BS_KNN,
    verbose: bool = False,
    find: Callable[..., Answers] = search,
) -> tuple[Answers, TKeys | None, list[TKeys]]:
    """
    Do what `batched_knn_qg` does, giving arrays: the answers, the labels of both sides and the keys of what was
    excluded. `find` is called as `search` is, which it may replace.
    """
    check(top_n >= 1, f"`top_n` must be at least 1, got {top_n}.")
    sizes = len(embeddings_query), len(embeddings_gallery)
    pairs = {"labels": labels, "ids": ids, "sequence_ids": sequence_ids}
    known: dict[str, TKeys] = {}
    for name, (of_query, of_gallery) in pairs.items():
        check_both_are_nones_or_not_nones(of_query, of_gallery, f"`{name}_query` and `{name}_gallery`")
        if of_query is not None:
            known[name] = torch.as_tensor(of_query), torch.as_tensor(of_gallery)
            check_len_and_ndim(known[name][0], sizes[0], 1, f"`{name}_query`")
            check_len_and_ndim(known[name][1], sizes[1], 1, f"`{name}_gallery`")
    keys = [known[name] for name in ("ids", "sequence_ids") if name in known]
    with _show_progress(sizes[0], verbose) as on_progress:
        answers = find(
            embeddings_query,
            embeddings_gallery,
            top_n,
            exclude=keys,
            max_query_block=bs,
            on_progress=on_progress,
        )
    return answers, known.get("labels"), keys


def _pick(values: Any, n: int, ids_query: Tensor, ids_gallery: Tensor, name: str) -> TKeys | None:
    if values is None:
        return None
    values = torch.as_tensor(values)
    check_len_and_ndim(values, n, 1, f"`{name}`")
    return values[ids_query.to(values.device)], values[ids_gallery.to(values.device)]


def _as_lists(answers: Answers, labels: TKeys | None, keys: Sequence[TKeys]) -> TKnn:
    lengths = answers.lengths.tolist()
    distances = [row[:n] for row, n in zip(answers.distances.unbind(), lengths, strict=True)]
    ids = [row[:n] for row, n in zip(answers.ids.unbind(), lengths, strict=True)]
    if labels is None:
        return distances, ids, None
    relevant = list_relevant(*labels, exclude=keys)
    return distances, ids, list(relevant.values.split(relevant.lengths.tolist()))


def _show_range(ids: Tensor) -> str:
    return f"{int(ids.min())} to {int(ids.max())}" if len(ids) else "none"


def _show_progress(n_queries: int, verbose: bool) -> AbstractContextManager[Callable[[int], object] | None]:
    if not verbose:
        return nullcontext()
    from tqdm.auto import tqdm

    return _ProgressBar(tqdm(total=n_queries, desc="Searching", unit="query"))


class _ProgressBar:
    def __init__(self, bar: Any):
        self.bar = bar

    def __enter__(self) -> Callable[[int], object]:
        return lambda n: self.bar.update(n)

    def __exit__(self, *_: object) -> None:
        self.bar.close()

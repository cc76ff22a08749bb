"""From embeddings and the datasets they belong to: the answers and what is relevant."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oml.const import SEQUENCE_COLUMN
from oml.errors import check
from oml.functional.knn import search_between, search_within
from oml.functional.ragged import Ragged
from oml.functional.relevance import list_sharing
from oml.functional.search import Answers, search
from oml.functional.search_exclusion import TKeys
from oml.interfaces.datasets import IBaseDataset, ILabeledDataset, IQueryGalleryDataset
from oml.retrieval.backends.base import Exact, ISearchBackend
from oml.retrieval.ground_truth import GroundTruth, LabelGroundTruth, ListedGroundTruth

TFound = tuple[Answers, GroundTruth | None]


def find_within(
    embeddings: Tensor, dataset: IQueryGalleryDataset, n_items: int, verbose: bool, backend: ISearchBackend | None
) -> TFound:
    """Search for the queries of a dataset among its galleries; embeddings (len(dataset), D)."""
    if not isinstance(dataset, IQueryGalleryDataset):
        raise TypeError(
            "`dataset` must tell queries from galleries (IQueryGalleryDataset: get_query_ids and get_gallery_ids), got "
            f"{type(dataset).__name__}. For two separate datasets use `from_embeddings_qg`."
        )
    _check_len(embeddings, dataset, "embeddings", "dataset")
    _check_n_items(n_items)
    labels_gt = dataset.get_labels() if isinstance(dataset, ILabeledDataset) else None
    has_several = _has_several(labels_gt)
    ids_query, ids_gallery = dataset.get_query_ids(), dataset.get_gallery_ids()
    answers, labels, keys = search_within(
        embeddings,
        ids_query,
        ids_gallery,
        top_n=n_items,
        sequence_ids=get_sequence_from_dataset(dataset),
        labels_gt=None if has_several else labels_gt,
        verbose=verbose,
        find=_get_search(backend),
    )
    if has_several:
        table = torch.as_tensor(labels_gt)
        return answers, _make_ground_truth_of_several((table[ids_query], table[ids_gallery]), keys, answers.ids.device)
    return answers, _make_ground_truth(labels, keys, answers.ids.device)


def find_between(
    embeddings_query: Tensor,
    embeddings_gallery: Tensor,
    dataset_query: IBaseDataset,
    dataset_gallery: IBaseDataset,
    n_items: int,
    verbose: bool,
    backend: ISearchBackend | None,
) -> TFound:
    """Search for all items of a dataset among all items of another one."""
    _check_len(embeddings_query, dataset_query, "embeddings_query", "dataset_query")
    _check_len(embeddings_gallery, dataset_gallery, "embeddings_gallery", "dataset_gallery")
    _check_n_items(n_items)
    are_labelled = isinstance(dataset_query, ILabeledDataset) and isinstance(dataset_gallery, ILabeledDataset)
    labels = (dataset_query.get_labels(), dataset_gallery.get_labels()) if are_labelled else (None, None)  # type: ignore[attr-defined]
    has_several = _has_several(labels[0])
    answers, found_labels, keys = search_between(
        embeddings_query,
        embeddings_gallery,
        top_n=n_items,
        labels=(None, None) if has_several else labels,
        sequence_ids=_get_common_sequences(dataset_query, dataset_gallery),
        verbose=verbose,
        find=_get_search(backend),
    )
    if has_several:
        tables = torch.as_tensor(labels[0]), torch.as_tensor(labels[1])
        return answers, _make_ground_truth_of_several(tables, keys, answers.ids.device)
    return answers, _make_ground_truth(found_labels, keys, answers.ids.device)


def get_sequence_from_dataset(dataset: IBaseDataset) -> Tensor | None:
    """
    Give the sequence of each item as a number, (len(dataset),), or None if the dataset has no sequences.

    They are taken from `dataset.extra_data["sequence"]`, which may hold anything hashable.
    """
    names = _get_sequence_names(dataset)
    return None if names is None else number_values(names)


def number_values(values: Any) -> Tensor:
    """
    Give equal numbers for equal values, (len(values),).

    Args:
        values: a sequence of anything hashable, an array or a tensor.

    Example:
        >>> number_values(["a", "b", "a"])
        tensor([0, 1, 0])

    """
    numbers: dict[Any, int] = {}
    values = values.tolist() if isinstance(values, Tensor | np.ndarray) else list(values)
    return torch.tensor([numbers.setdefault(value, len(numbers)) for value in values], dtype=torch.int64)


def _get_sequence_names(dataset: IBaseDataset) -> Any:
    return getattr(dataset, "extra_data", {}).get(SEQUENCE_COLUMN)


def _get_common_sequences(dataset_query: IBaseDataset, dataset_gallery: IBaseDataset) -> tuple[Any, Any]:
    names = _get_sequence_names(dataset_query), _get_sequence_names(dataset_gallery)
    if names[0] is None or names[1] is None:
        return None, None
    # numbered together: the same name is the same sequence on both sides
    numbers = number_values([*list(names[0]), *list(names[1])])
    return numbers[: len(names[0])], numbers[len(names[0]) :]


def _get_search(backend: ISearchBackend | None) -> Callable[..., Answers]:
    """Give what is called as `search` is and asks the backend."""
    if backend is None:
        return search
    if isinstance(backend, Exact):
        return partial(search, metric=backend.metric, max_memory=backend.max_memory)

    def find(
        queries: Tensor,
        galleries: Tensor,
        k: int,
        query_rows: Tensor | None = None,
        gallery_rows: Tensor | None = None,
        exclude: Any = (),
        **_: Any,
    ) -> Answers:
        queries = queries if query_rows is None else queries[query_rows]
        return backend(queries, galleries if gallery_rows is None else galleries[gallery_rows], k, exclude=exclude)

    return find


def _make_ground_truth(labels: TKeys | None, keys: list[TKeys], device: torch.device) -> LabelGroundTruth | None:
    if labels is None:
        return None
    (of_query, of_gallery), *exclude = [(q.to(device), g.to(device)) for q, g in (labels, *keys)]
    return LabelGroundTruth(of_query, of_gallery, exclude)


def _make_ground_truth_of_several(tables: TKeys, keys: list[TKeys], device: torch.device) -> ListedGroundTruth:
    """Take multi-hot labels (Q, L) and (G, L): what shares a label is relevant."""
    of_query, of_gallery = tables
    check(
        of_query.ndim == of_gallery.ndim == 2 and of_query.shape[1] == of_gallery.shape[1],
        "Queries and galleries must have multi-hot labels of one width, got the shapes "
        f"{tuple(of_query.shape)} and {tuple(of_gallery.shape)}. Make both datasets with one `label_mapping`.",
    )
    exclude = [(q.to(device), g.to(device)) for q, g in keys]
    return ListedGroundTruth(list_sharing(_list_hot(of_query.to(device)), _list_hot(of_gallery.to(device)), exclude))


def _has_several(labels: Any) -> bool:
    return labels is not None and labels.ndim == 2


def _list_hot(table: Tensor) -> Ragged:
    counts = (table != 0).sum(dim=1)
    return Ragged(table.nonzero()[:, 1], torch.cat([counts.new_zeros(1), counts.cumsum(0)]))


def _check_n_items(n_items: int) -> None:
    check(n_items >= 1, f"`n_items` must be at least 1, got {n_items}.")


def _check_len(embeddings: Tensor, dataset: IBaseDataset, name: str, dataset_name: str) -> None:
    check(
        len(embeddings) == len(dataset),
        f"`{name}` must have one row per item of `{dataset_name}`, got {len(embeddings)} for {len(dataset)}.",
    )

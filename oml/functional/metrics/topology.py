"""Metrics of the shape of the cloud of embeddings, which need no labels."""

from collections.abc import Sequence

from torch import Tensor

from oml.const import OVERALL_CATEGORIES_KEY
from oml.functional.metrics.pcf import calc_pcf
from oml.functional.metrics.reduction import TCategories, TMetricsDict, split_by_category


def calc_topological_metrics(
    embeddings: Tensor, pcf_variance: Sequence[float], categories: TCategories | None = None, verbose: bool = False
) -> TMetricsDict:
    """
    Give `{"pcf": {share: value}}`, or `{}` where no shares are asked for.

    Args:
        embeddings: (N, D).
        pcf_variance: shares of variance from 0 to 1, see `calc_pcf`.
        categories: one per embedding: the result is then `{"OVERALL": {...}, category: {...}, ...}`.
        verbose: accepted for compatibility.

    Raises:
        ValueError: a share outside [0, 1].
        InvalidInputError: another number of categories than of embeddings.

    Example:
        >>> import torch
        >>> calc_topological_metrics(torch.eye(4, 10), (0.5,))
        {'pcf': {0.5: tensor(0.2000)}}

    """
    overall = _calc(embeddings, pcf_variance)
    if categories is None:
        return overall
    groups = split_by_category(categories, len(embeddings))
    of_groups = {c: _calc(embeddings[ids.to(embeddings.device)], pcf_variance) for c, ids in groups.items()}
    return {OVERALL_CATEGORIES_KEY: overall} | of_groups


def _calc(embeddings: Tensor, pcf_variance: Sequence[float]) -> TMetricsDict:
    if not len(pcf_variance):
        return {}
    return {"pcf": dict(zip(pcf_variance, calc_pcf(embeddings, pcf_variance), strict=True))}

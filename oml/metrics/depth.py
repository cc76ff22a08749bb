"""Do retrieval results keep enough answers for a metric?"""

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor

from oml.functional.metrics import Hits
from oml.metrics.names import NamedMetric

_ENDLESS = torch.iinfo(torch.int64).max


def get_depth(metrics: Mapping[str, NamedMetric]) -> int | None:
    """Give the number of answers that must be looked at, None for all."""
    depths = [metric.k for metric in metrics.values() if metric.k is not None]
    return max(depths, default=0) if len(depths) == len(metrics) else None


def warn_if_too_few_answers(metrics: Mapping[str, NamedMetric], hits: Hits, n_kept: int) -> None:
    """
    Warn once if metrics look beyond the answers that were kept, and something may be found there.

    A query with less answers than were kept of others has no further ones, and nothing is to be found once all relevant
    galleries are (for CMC and the reciprocal rank: once one is).

    Args:
        metrics: by what the user calls them.
        hits: of all the answers that were kept, if any metric looks beyond them.
        n_kept: number of answers kept per query.

    """
    n_found = hits.is_hit.sum(1)
    is_cut = (hits.lengths >= max(1, n_kept)) & (n_found < hits.n_gts)
    depths = {text: _find_depths(metric, hits.n_gts) for text, metric in metrics.items()}
    cut = {text: is_cut & (depth > n_kept) for text, depth in depths.items()}
    cut = {text: queries & (n_found == 0) if metrics[text].needs_one_hit else queries for text, queries in cut.items()}
    cut = {text: queries for text, queries in cut.items() if bool(queries.any())}
    if not cut:
        return
    n_needed = max(int(depths[text].max()) for text in cut)
    n_queries = max(int(queries.sum()) for queries in cut.values())
    warnings.warn(
        f"{', '.join(cut)} may find more than what was kept: only {n_kept} were kept per query, and what lies beyond "
        f"counts as a miss, in {n_queries} of {len(is_cut)} queries. Search with "
        f"{'all galleries as n_items' if n_needed == _ENDLESS else f'n_items={n_needed} or more'} for the exact value.",
        UserWarning,
        stacklevel=4,
    )


def _find_depths(metric: NamedMetric, n_gts: Tensor) -> Tensor:
    """Give the number of answers that a metric looks at for each query, (Q,)."""
    return n_gts if metric.looks_at_first_r else torch.full_like(n_gts, metric.k or _ENDLESS)

"""Metrics by name: what the text "cmc@5" asks for."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

from oml.errors import InvalidInputError, unknown_name_message
from oml.functional.metrics import (
    Hits,
    cmc_at,
    map_at,
    map_at_r,
    map_standard_at,
    map_trec_at,
    minp,
    mrr,
    mrr_at,
    ndcg_at,
    precision_at,
    precision_standard_at,
    r_precision,
    recall_at,
)

TCutOffMetric = Callable[[Hits, Sequence[int]], list[Tensor]]
TMetric = Callable[[Hits], Tensor]

# name@k or name@k:variant: values per query for each cut-off
CUT_OFF_METRICS: dict[str, TCutOffMetric] = {
    "cmc@k": cmc_at,
    "hit_rate@k": cmc_at,
    "map@k": map_at,
    "map@k:standard": map_standard_at,
    "map@k:trec": map_trec_at,
    "mrr@k": mrr_at,
    "ndcg@k": ndcg_at,
    "precision@k": precision_at,
    "precision@k:standard": precision_standard_at,
    "recall@k": recall_at,
}
# the name as it is: values per query, which look at all answers, or at as many as there are relevant galleries
METRICS: dict[str, TMetric] = {"map@r": map_at_r, "minp": minp, "mrr": mrr, "r_precision": r_precision}
_FIRST_R = ("map@r", "r_precision")
_FIRST_HIT = ("cmc@k", "hit_rate@k", "mrr", "mrr@k")


class NamedMetric(NamedTuple):
    """A metric as text names it: a key of the tables above; `k` is None where it has no cut-off."""

    name: str
    k: int | None

    @property
    def looks_at_first_r(self) -> bool:
        """Whether it looks at as many answers as there are relevant galleries."""
        return self.name in _FIRST_R

    @property
    def needs_one_hit(self) -> bool:
        """Whether the hits after the first one change nothing."""
        return self.name in _FIRST_HIT


def parse_metric(text: str) -> NamedMetric:
    """
    Read the name of a metric.

    Raises:
        InvalidInputError: there is no such metric (the nearest names are given), or the cut-off is missing or not a
            positive integer.

    Example:
        >>> parse_metric("precision@5:standard"), parse_metric("map@r")
        (NamedMetric(name='precision@k:standard', k=5), NamedMetric(name='map@r', k=None))

    """
    if text in METRICS:
        return NamedMetric(text, None)
    parts = re.fullmatch(r"(?P<name>[^@:]*)(@(?P<k>[^@:]*))?(?P<variant>:.*)?", text)
    k, name = (parts["k"], f"{parts['name']}@k{parts['variant'] or ''}") if parts else (None, text)
    if name not in CUT_OFF_METRICS:
        raise InvalidInputError(unknown_name_message("metric", text, [*METRICS, *CUT_OFF_METRICS]))
    if not (k and k.isascii() and k.isdigit() and int(k) > 0):
        shown = name.replace("@k", "@5")
        raise InvalidInputError(
            f"The metric {name.replace('@k', '')!r} needs a positive integer as its cut-off, as in {shown!r}, "
            f"got {text!r}."
        )
    return NamedMetric(name, int(k))


def calc_named_metrics(hits: Hits, metrics: Sequence[NamedMetric]) -> list[Tensor]:
    """Give the values of each query, float32 (Q,), for each metric; one pass for all the cut-offs of a name."""
    top_k: dict[str, list[int]] = {}
    for metric in metrics:
        if metric.k is not None:
            top_k.setdefault(metric.name, []).append(metric.k)
    found: dict[NamedMetric, Tensor] = {}
    for name, cut_offs in top_k.items():
        values = CUT_OFF_METRICS[name](hits, cut_offs)
        found |= {NamedMetric(name, k): of_k for k, of_k in zip(cut_offs, values, strict=True)}
    return [METRICS[metric.name](hits) if metric.k is None else found[metric] for metric in metrics]

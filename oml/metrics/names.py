"""Metrics by name: what the text "cmc@5" asks for."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

from oml.errors import InvalidInputError, unknown_name_message
from oml.functional.metrics import Hits, cmc_at, map_at, map_at_r, precision_at, recall_at

TCutOffMetric = Callable[[Hits, Sequence[int]], list[Tensor]]
TMetric = Callable[[Hits], Tensor]

# name@k: values per query for each cut-off
CUT_OFF_METRICS: dict[str, TCutOffMetric] = {
    "cmc": cmc_at,
    "map": map_at,
    "precision": precision_at,
    "recall": recall_at,
}
# the name as it is: values per query, which look at all answers
METRICS: dict[str, TMetric] = {"map@r": map_at_r}


class NamedMetric(NamedTuple):
    """A metric as text names it; `k` is None where it has no cut-off."""

    name: str
    k: int | None

    def calc(self, hits: Hits) -> Tensor:
        """Give the value of each query, float32 (Q,)."""
        if self.k is None:
            return METRICS[self.name](hits)
        return CUT_OFF_METRICS[self.name](hits, (self.k,))[0]


def parse_metric(text: str) -> NamedMetric:
    """
    Read the name of a metric.

    Raises:
        InvalidInputError: there is no such metric (the nearest names are given), or the cut-off is missing or not a
            positive integer.

    Example:
        >>> parse_metric("cmc@5"), parse_metric("map@r")
        (NamedMetric(name='cmc', k=5), NamedMetric(name='map@r', k=None))

    """
    if text in METRICS:
        return NamedMetric(text, None)
    name, _, k = text.partition("@")
    if name not in CUT_OFF_METRICS:
        known = [*METRICS, *(f"{known}@k" for known in CUT_OFF_METRICS)]
        raise InvalidInputError(unknown_name_message("metric", text, known))
    if not (k.isascii() and k.isdigit() and int(k) > 0):
        raise InvalidInputError(
            f"The metric {name!r} needs a positive integer as its cut-off, as in '{name}@5', got {text!r}."
        )
    return NamedMetric(name, int(k))

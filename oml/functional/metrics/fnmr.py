"""FNMR@FMR: how many genuine pairs are refused where a given share of impostor pairs is accepted."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import FloatTensor, Tensor

from oml.errors import InvalidInputError
from oml.functional.metrics.reduction import TMetricsDict

TNumbers = np.ndarray | Tensor


def calc_fnmr_at_fmr(pos_dist: TNumbers, neg_dist: TNumbers, fmr_vals: Sequence[float] = (0.1,)) -> FloatTensor:
    """
    Give the false non-match rate at each false match rate, float32 (len(fmr_vals),).

    The threshold is the quantile of the negative distances at the given rate, linearly interpolated; the value is the
    share of positive distances at or above it.

    Args:
        pos_dist: distances of pairs that match, (n_pos,).
        neg_dist: distances of pairs that do not, (n_neg,).
        fmr_vals: rates from 0 to 1.

    Raises:
        ValueError: no rates, rates outside [0, 1], no positive or no negative distances.

    Example:
        >>> calc_fnmr_at_fmr(np.array([0, 1, 2, 7]), np.array([3, 5, 6, 8, 9]), fmr_vals=(0.1, 0.5))
        tensor([0.2500, 0.2500])

    """
    check_shares("fmr_vals", fmr_vals)
    pos, neg = _as_array(pos_dist), _as_array(neg_dist)
    for name, distances in (("pos_dist", pos), ("neg_dist", neg)):
        if not distances.size:
            raise InvalidInputError(f"`{name}` must hold at least one distance, got none: the rate is not defined.")
    thresholds = np.quantile(neg, fmr_vals)
    # the share at or above = 1 - the share below; sorting once serves all the rates
    shares = 1 - np.searchsorted(np.sort(pos), thresholds, side="left") / len(pos)
    return torch.from_numpy(shares.astype(np.float32))  # type: ignore[return-value]


def calc_fnmr_at_fmr_by_distances(pos_dist: TNumbers, neg_dist: TNumbers, fmr_vals: Sequence[float]) -> TMetricsDict:
    """
    Give `{"fnmr@fmr": {rate: value}}`, or `{}` where no rates are asked for.

    Takes the arguments of `calc_fnmr_at_fmr` and raises its errors.

    Example:
        >>> calc_fnmr_at_fmr_by_distances(np.array([0.0, 4.0]), np.array([3.0, 5.0]), (0.0,))
        {'fnmr@fmr': {0.0: tensor(0.5000)}}

    """
    if not len(fmr_vals):
        return {}
    values = calc_fnmr_at_fmr(pos_dist, neg_dist, fmr_vals)
    return {"fnmr@fmr": dict(zip(fmr_vals, values.unbind(), strict=True))}


def check_shares(name: str, values: Sequence[float]) -> None:
    """Raise `ValueError` unless there is at least one value and all are from 0 to 1."""
    if not len(values) or not all(0 <= value <= 1 for value in values):
        raise ValueError(f"`{name}` must be one or more numbers from 0 to 1, got {values!r}.")


def _as_array(distances: Any) -> np.ndarray:
    return distances.detach().cpu().numpy() if isinstance(distances, Tensor) else np.asarray(distances)

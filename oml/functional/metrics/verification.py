"""
Rates of verification: of accepting pairs that match and pairs that do not, depending on the threshold.

A pair is accepted at the threshold t if its distance is at most t. FAR (FMR) is the share of accepted pairs among those
that do not match, TAR of those that do; FRR (FNMR) is 1 - TAR (ISO/IEC 19795-1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Rate(NamedTuple):
    """A rate, the threshold where it is reached, and the bounds that the exact rate lies within."""

    value: float
    threshold: float
    low: float
    high: float


@dataclass(frozen=True)
class VerificationCurve:
    """
    Operating points by ascending threshold, from accepting nothing to accepting everything.

    `(far, tar)` is the ROC curve, `(far, frr)` the DET curve. All points are exact; an exact curve has all the corners
    too, so that straight lines between its points are what lies between them.

    Args:
        thresholds: (P,).
        n_pos_accepted: matching pairs at most so far apart, (P,).
        n_neg_accepted: other pairs at most so far apart, (P,).
        is_exact: whether all corners are there.

    """

    thresholds: np.ndarray
    n_pos_accepted: np.ndarray
    n_neg_accepted: np.ndarray
    is_exact: bool

    @property
    def far(self) -> np.ndarray:
        """False acceptance rates, float64 (P,)."""
        rates: np.ndarray = self.n_neg_accepted / self.n_neg_accepted[-1]
        return rates

    @property
    def tar(self) -> np.ndarray:
        """True acceptance rates, float64 (P,)."""
        rates: np.ndarray = self.n_pos_accepted / self.n_pos_accepted[-1]
        return rates

    @property
    def frr(self) -> np.ndarray:
        """False rejection rates, float64 (P,)."""
        return 1 - self.tar


def calc_tar_at_far(curve: VerificationCurve, far_vals: Sequence[float]) -> list[Rate]:
    """
    Give the greatest true acceptance rate whose false acceptance rate is at most the given one, for each of them.

    No interpolation: the rate is reached at its threshold (as in the protocols of IJB and NIST FRVT).

    Args:
        curve: operating points.
        far_vals: rates from 0 to 1.

    Example:
        >>> curve = VerificationCurve(np.array([-np.inf, 1, 2]), np.array([0, 3, 4]), np.array([0, 1, 9]), True)
        >>> calc_tar_at_far(curve, [0.2])[0].value
        0.75

    """
    # counts are compared, with room for the rounding of the product: 1e-6 of a million is one pair
    allowed = np.floor(np.asarray(far_vals) * curve.n_neg_accepted[-1] * (1 + 1e-12) + 1e-9)
    last = np.searchsorted(curve.n_neg_accepted, allowed, side="right") - 1
    above = last if curve.is_exact else np.minimum(last + 1, len(curve.thresholds) - 1)
    tar = curve.tar
    return [
        Rate(float(tar[i]), float(curve.thresholds[i]), float(tar[i]), float(tar[j]))
        for i, j in zip(last, above, strict=True)
    ]


def calc_eer(curve: VerificationCurve) -> Rate:
    """
    Give the equal error rate: where FAR and FRR meet, on straight lines between the operating points.

    Example:
        >>> curve = VerificationCurve(np.array([-np.inf, 1, 2]), np.array([0, 3, 4]), np.array([0, 1, 4]), True)
        >>> calc_eer(curve)
        Rate(value=0.25, threshold=1.0, low=0.25, high=0.25)

    """
    far, frr = curve.far, curve.frr
    i = int(np.argmax(far >= frr))  # never the first point, which accepts nothing: FAR 0, FRR 1
    before, after = frr[i - 1] - far[i - 1], far[i] - frr[i]
    share = before / (before + after)
    value = float(far[i - 1] + share * (far[i] - far[i - 1]))
    low, high = max(far[i - 1], frr[i]), min(far[i], frr[i - 1])
    return Rate(value, float(curve.thresholds[i]), *((value, value) if curve.is_exact else (float(low), float(high))))


def calc_min_dcf(curve: VerificationCurve, p_target: float = 0.01, c_miss: float = 1, c_fa: float = 1) -> Rate:
    """
    Give the least normalised detection cost over all thresholds.

    `(c_miss p FRR + c_fa (1 - p) FAR) / min(c_miss p, c_fa (1 - p))` (NIST Speaker Recognition Evaluation Plans): 1 is
    what is reached without looking, by accepting or rejecting everything.

    Args:
        curve: operating points.
        p_target: prior probability of a match, between 0 and 1.
        c_miss: cost of rejecting a match.
        c_fa: cost of accepting another pair.

    Example:
        >>> curve = VerificationCurve(np.array([-np.inf, 1, 2]), np.array([0, 3, 4]), np.array([0, 1, 4]), True)
        >>> calc_min_dcf(curve, p_target=0.5)
        Rate(value=0.5, threshold=1.0, low=0.5, high=0.5)

    """
    miss, alarm = c_miss * p_target, c_fa * (1 - p_target)
    far, frr, default = curve.far, curve.frr, min(miss, alarm)
    costs = (miss * frr + alarm * far) / default
    i = int(costs.argmin())
    # between two points FRR is at least that of the second one, FAR that of the first one
    low = costs[i] if curve.is_exact else min(costs[i], ((miss * frr[1:] + alarm * far[:-1]) / default).min())
    return Rate(float(costs[i]), float(curve.thresholds[i]), float(low), float(costs[i]))

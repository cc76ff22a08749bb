"""Verification written down from the definitions: every pair in a Python loop, every threshold tried."""

from itertools import pairwise

import numpy as np


def list_distances(x, y, labels_x, labels_y, sequences_x=None, sequences_y=None, is_symmetric=False):
    """Give the distances of pairs that match and of those that do not, float32."""
    pos, neg = [], []
    for i in range(len(x)):
        for j in range(i + 1 if is_symmetric else 0, len(y)):
            if sequences_x is not None and sequences_x[i] == sequences_y[j]:
                continue
            distance = np.sqrt(((x[i].astype(np.float64) - y[j].astype(np.float64)) ** 2).sum())
            (pos if labels_x[i] == labels_y[j] else neg).append(np.float32(distance))
    return np.array(pos, dtype=np.float32), np.array(neg, dtype=np.float32)


def list_points(pos, neg):
    """Give (threshold, FAR, FRR) at each distance that occurs, and where nothing is accepted."""
    thresholds = [-np.inf, *sorted({*pos.tolist(), *neg.tolist()})]
    return [(t, np.mean(neg <= t), np.mean(pos > t)) for t in thresholds]


def tar_at_far(pos, neg, far):
    return max(1 - frr for _, found, frr in list_points(pos, neg) if found <= far)


def equal_error_rate(pos, neg):
    points = list_points(pos, neg)
    for (_, far0, frr0), (_, far1, frr1) in pairwise(points):
        if far1 >= frr1:
            share = (frr0 - far0) / ((frr0 - far0) + (far1 - frr1))
            return far0 + share * (far1 - far0)
    raise ValueError("the rates do not meet")


def min_dcf(pos, neg, p_target, c_miss, c_fa):
    costs = [c_miss * p_target * frr + c_fa * (1 - p_target) * far for _, far, frr in list_points(pos, neg)]
    return min(costs) / min(c_miss * p_target, c_fa * (1 - p_target))

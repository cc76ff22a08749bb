"""Which candidates of an anchor stand at given ranks, by distance."""

import math

import torch
from torch import Tensor

from oml.functional.triplets import list_triplets
from oml.interfaces.miners import Candidates, TripletCandidates, TTriplets


def take_ranks(distances: Tensor, mask: Tensor, ranks: slice, farthest_first: bool) -> Candidates:
    """
    Give the candidates of each anchor whose ranks are in the slice, (A, K), in the order of the ranks.

    Of equally distant candidates any comes first. Nothing waits for the device.

    Args:
        distances: Distances of anchors to candidates (A, C), detached.
        mask: Who is a candidate of whom, (A, C).
        ranks: Ranks from 0 on, without a step.
        farthest_first: Whether rank 0 is the most distant candidate, or the nearest.

    Example:
        >>> distances, mask = torch.tensor([[0.0, 3.0, 1.0]]), torch.tensor([[False, True, True]])
        >>> take_ranks(distances, mask, slice(0, 1), farthest_first=True)
        Candidates(exist=tensor([[True]]), ids=tensor([[1]]))

    """
    n_candidates = distances.shape[1]
    if ranks.start == 0 and ranks.stop >= n_candidates:
        return Candidates(mask)
    # the fill never wins against a real candidate: a positive at the distance 0 is taken before the item itself
    fill = -math.inf if farthest_first else math.inf
    filled = torch.where(mask, distances, fill)
    if ranks == slice(0, 1):  # two thirds of the time of the general case
        values, ids = (filled.max if farthest_first else filled.min)(dim=1, keepdim=True)
    else:
        values, ids = filled.topk(min(ranks.stop, n_candidates), dim=1, largest=farthest_first)
        values, ids = values[:, ranks.start :], ids[:, ranks.start :]
    return Candidates(values != fill, ids)


def list_ids(candidates: TripletCandidates) -> TTriplets:
    """
    Give the positions of anchors, positives and negatives, (T,) each: each positive with each negative of an anchor.

    They are ordered by anchor, then by the place of the positive, then by that of the negative. On a device other than
    the processor this waits for the device.
    """
    positives, negatives = candidates
    ids_a, ids_p, ids_n = list_triplets(positives.exist, negatives.exist)
    if positives.ids is not None:
        ids_p = positives.ids[ids_a, ids_p]
    if negatives.ids is not None:
        ids_n = negatives.ids[ids_a, ids_n]
    return ids_a, ids_p, ids_n

"""Miners by plain loops, from the definitions."""

import torch
from torch import Tensor

TRanks = tuple[int, int]


def list_n_hard_triplets_by_loop(
    distances: Tensor, labels: list[int], positive_ranks: TRanks, negative_ranks: TRanks, n_anchors: int | None = None
) -> list[tuple[int, int, int]]:
    """Give the triplets of the first anchors with the items at the ranks (from 1, inclusive) by `distances` (A, C)."""
    triplets = []
    for a in range(len(labels) if n_anchors is None else n_anchors):
        positives = [i for i in range(len(labels)) if labels[i] == labels[a] and i != a]
        negatives = [i for i in range(len(labels)) if labels[i] != labels[a]]
        positives.sort(key=lambda i, a=a: -distances[a, i].item())
        negatives.sort(key=lambda i, a=a: distances[a, i].item())
        for p in positives[positive_ranks[0] - 1 : positive_ranks[1]]:
            for n in negatives[negative_ranks[0] - 1 : negative_ranks[1]]:
                triplets.append((a, p, n))
    return triplets


def list_hard_cluster_triplets_by_loop(features: Tensor, labels: list[int]) -> list[tuple[Tensor, Tensor, Tensor]]:
    names = sorted(set(labels))
    means = {
        name: torch.stack([x for x, y in zip(features, labels, strict=True) if y == name]).mean(0) for name in names
    }
    triplets = []
    for name in names:
        own = [x for x, y in zip(features, labels, strict=True) if y == name]
        positive = max(own, key=lambda x, name=name: (x - means[name]).norm().item())
        others = [other for other in names if other != name]
        nearest = min(others, key=lambda other, name=name: (means[other] - means[name]).norm().item())
        triplets.append((means[name], positive, means[nearest]))
    return triplets


def find_pairs_by_loop(triplets: list[tuple[int, int, int]]) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    same = {(min(a, p), max(a, p)) for a, p, _ in triplets}
    other = {(min(a, n), max(a, n)) for a, _, n in triplets}
    return same, other

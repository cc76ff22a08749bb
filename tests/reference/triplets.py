"""Triplets and their loss by plain loops, from the definitions."""

import math

import torch
from torch import Tensor


def list_triplets_by_loop(labels: list[int]) -> list[tuple[int, int, int]]:
    n = len(labels)
    return [
        (a, p, q)
        for a in range(n)
        for p in range(n)
        for q in range(n)
        if a != p and labels[a] == labels[p] and labels[a] != labels[q]
    ]


def list_hard_triplets_by_loop(distances: Tensor, labels: list[int]) -> list[tuple[int, int, int]]:
    triplets = []
    for anchor in range(len(labels)):
        candidates = [t for t in list_triplets_by_loop(labels) if t[0] == anchor]
        if candidates:
            positive = max({p for _, p, _ in candidates}, key=lambda p: distances[anchor, p].item())
            negative = min({q for _, _, q in candidates}, key=lambda q: distances[anchor, q].item())
            triplets.append((anchor, positive, negative))
    return triplets


def calc_triplet_loss_by_loop(
    features: Tensor, triplets: list[tuple[int, int, int]], margin: float | None
) -> tuple[Tensor, dict[str, float]]:
    """Give the losses (T,) with a graph, and the logs."""
    losses, positive, negative = [], [], []
    for a, p, q in triplets:
        d_ap = (features[a] - features[p]).square().sum().sqrt()
        d_an = (features[a] - features[q]).square().sum().sqrt()
        difference = d_ap - d_an
        losses.append(torch.log1p(torch.exp(difference)) if margin is None else torch.clamp(margin + difference, min=0))
        positive.append(d_ap.item())
        negative.append(d_an.item())
    logs = {
        "active_tri": sum(loss.item() > 0 for loss in losses) / max(1, len(losses)),
        "pos_dist": math.fsum(positive) / max(1, len(losses)),
        "neg_dist": math.fsum(negative) / max(1, len(losses)),
    }
    return torch.stack(losses) if losses else features.sum() * features.new_zeros(0), logs

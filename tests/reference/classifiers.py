"""Losses of classifiers and proxies by plain loops, from the definitions; all give the losses of the items (B,)."""

import math

import torch
from torch import Tensor


def calc_cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum() / a.square().sum().sqrt() / b.square().sum().sqrt()


def calc_cross_entropy(logits: list[Tensor], targets: list[float]) -> Tensor:
    """Logits and targets of one item, one of each class."""
    log_sum = torch.stack(logits).logsumexp(0)
    return -sum(target * (logit - log_sum) for logit, target in zip(logits, targets, strict=True))


def smooth_by_loop(label: int, n_classes: int, epsilon: float, categories: list[int] | None) -> list[float]:
    alike = [c for c in range(n_classes) if categories is None or categories[c] == categories[label]]
    targets = [epsilon / len(alike) if c in alike else 0.0 for c in range(n_classes)]
    targets[label] += 1 - epsilon
    return targets


def add_margin(kind: str, cosine: Tensor, margin: float) -> Tensor:
    if kind == "cosine":
        return cosine - margin
    theta = torch.acos(cosine)
    if theta + margin < math.pi:
        return torch.cos(theta + margin)
    return cosine - margin * math.sin(margin)


def calc_classifier_losses_by_loop(
    features: Tensor,
    weight: Tensor,
    labels: list[int],
    scale: float,
    kind: str = "cosine",
    margin: float = 0.0,
    pool: str = "nearest",
    gamma: float = 0.1,
    epsilon: float = 0.0,
    categories: list[int] | None = None,
) -> Tensor:
    """The weight is (C, K, D); K = 1 is what has no centres."""
    n_classes, n_centres, _ = weight.shape
    losses = []
    for x, label in zip(features, labels, strict=True):
        logits = []
        for c in range(n_classes):
            cosines = torch.stack([calc_cosine(x, weight[c, k]) for k in range(n_centres)])
            similarity = cosines.max() if pool == "nearest" else ((cosines / gamma).softmax(0) * cosines).sum()
            logits.append(scale * (add_margin(kind, similarity, margin) if c == label else similarity))
        losses.append(calc_cross_entropy(logits, smooth_by_loop(label, n_classes, epsilon, categories)))
    return torch.stack(losses)


def calc_spread_by_loop(weight: Tensor) -> Tensor:
    n_classes, n_centres, _ = weight.shape
    total = weight.sum() * 0
    for c in range(n_classes):
        for s in range(n_centres):
            for t in range(s + 1, n_centres):
                total = total + (2 - 2 * calc_cosine(weight[c, s], weight[c, t])).sqrt()
    return total / (n_classes * n_centres * (n_centres - 1))


def calc_proxy_nca_by_loop(features: Tensor, weight: Tensor, labels: list[int], temperature: float) -> Tensor:
    """From distances, not from cosines."""
    losses = []
    for x, label in zip(features, labels, strict=True):
        squares = [(x / x.norm() - proxy / proxy.norm()).square().sum() for proxy in weight]
        similarities = torch.stack([torch.exp(-square / temperature) for square in squares])
        losses.append(-torch.log(similarities[label] / similarities.sum()))
    return torch.stack(losses)


def calc_proxy_anchor_by_loop(
    features: Tensor, weight: Tensor, labels: list[int], margin: float, alpha: float
) -> Tensor:
    pulls, pushes = [], []
    for c, proxy in enumerate(weight):
        cosines = [(calc_cosine(x, proxy), label) for x, label in zip(features, labels, strict=True)]
        if c in labels:
            pulls.append(torch.log(1 + sum(torch.exp(-alpha * (cos - margin)) for cos, y in cosines if y == c)))
        negatives = [torch.exp(alpha * (cos + margin)) for cos, y in cosines if y != c]
        pushes.append(torch.log(1 + sum(negatives)) if negatives else proxy.sum() * 0)
    return torch.stack(pulls).mean() + torch.stack(pushes).mean()

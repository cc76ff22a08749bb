"""Losses of pairs by loops over anchors and their candidates, from the definitions."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

TRow = list[Tensor]  # scores of candidates, tensors without dimensions


def _relu(x: Tensor) -> Tensor:
    return x if x.item() > 0 else x * 0


def _sigmoid(x: Tensor) -> Tensor:
    return torch.special.expit(x)


def _log_sum(terms: TRow) -> Tensor:
    return torch.log(sum(torch.exp(term) for term in terms))


def contrastive(pos: TRow, neg: TRow, positive_margin: float, negative_margin: float) -> tuple[TRow, TRow]:
    """Give the active terms of the positives and those of the negatives."""
    too_far = [_relu(d - positive_margin) for d in pos]
    too_near = [_relu(negative_margin - d) for d in neg]
    return [x for x in too_far if x.item() > 0], [x for x in too_near if x.item() > 0]


def semi_hard(pos: TRow, neg: TRow, margin: float) -> TRow:
    """Give a term for each semi-hard triplet."""
    return [margin + p - n for p in pos for n in neg if p.item() < n.item() < p.item() + margin]


def lifted_structure(pos: TRow, neg: TRow, margin: float) -> TRow:
    return [_relu(_log_sum(pos) + _log_sum([margin - d for d in neg]))] if pos and neg else []


def nt_xent(pos: TRow, neg: TRow, temperature: float) -> TRow:
    return [_log_sum([x / temperature for x in [p, *neg]]) - p / temperature for p in pos] if neg else []


def sup_con(pos: TRow, neg: TRow, temperature: float) -> TRow:
    every = [x / temperature for x in pos + neg]
    return [sum(_log_sum(every) - p / temperature for p in pos) / len(pos)] if pos else []


def multi_similarity(pos: TRow, neg: TRow, alpha: float, beta: float, base: float, epsilon: float | None) -> TRow:
    if not pos and not neg:
        return []
    least = min((p.item() for p in pos), default=math.inf)
    most = max((n.item() for n in neg), default=-math.inf)
    if epsilon is not None:
        pos = [p for p in pos if p.item() < most + epsilon]
        neg = [n for n in neg if n.item() > least - epsilon]
    of_positives = torch.log(1 + sum(torch.exp(-alpha * (p - base)) for p in pos)) / alpha if pos else 0
    of_negatives = torch.log(1 + sum(torch.exp(beta * (n - base)) for n in neg)) / beta if neg else 0
    return [torch.as_tensor(of_positives + of_negatives)]


def circle(pos: TRow, neg: TRow, margin: float, scale: float) -> TRow:
    if not pos or not neg:
        return []
    of_positives = sum(torch.exp(-scale * max(0.0, 1 + margin - p.item()) * (p - (1 - margin))) for p in pos)
    of_negatives = sum(torch.exp(scale * max(0.0, n.item() + margin) * (n - margin)) for n in neg)
    return [torch.log(1 + of_positives * of_negatives)]


def smooth_ap(pos: TRow, neg: TRow, temperature: float) -> TRow:
    if not pos or not neg:
        return []
    precisions = []
    for i, p in enumerate(pos):
        others = [q for j, q in enumerate(pos) if j != i]
        rank_among_positives = 1 + sum(_sigmoid((q - p) / temperature) for q in others)
        rank = rank_among_positives + sum(_sigmoid((n - p) / temperature) for n in neg)
        precisions.append(rank_among_positives / rank)
    return [1 - sum(precisions) / len(pos)]


def recall_at_k(pos: TRow, neg: TRow, ks: tuple[int, ...], t_rank: float, t_count: float) -> TRow:
    if not pos or not neg:
        return []
    recalls = []
    for k in ks:
        total = 0
        for i, p in enumerate(pos):
            others = [q for j, q in enumerate(pos) if j != i] + neg
            rank = 1 + sum(_sigmoid((q - p) / t_rank) for q in others)
            total = total + _sigmoid((k + 0.5 - rank) / t_count)
        recalls.append(total / min(k, len(pos)))
    return [1 - sum(recalls) / len(ks)]


def fast_ap(pos: TRow, neg: TRow, n_bins: int) -> TRow:
    if not pos or not neg:
        return []
    width = 4 / n_bins

    def count(similarities: TRow, b: int) -> Tensor:
        return sum((_relu(1 - abs((2 - 2 * s) - b * width) / width) for s in similarities), torch.zeros(()))

    total = 0
    for b in range(n_bins + 1):
        of_positives = sum(count(pos, i) for i in range(b + 1))
        of_all = of_positives + sum(count(neg, i) for i in range(b + 1))
        if of_all.item() > 0:
            total = total + count(pos, b) * of_positives / of_all
    return [1 - total / len(pos)]


def list_terms(scores: Tensor, positives: Tensor, negatives: Tensor, loss: Callable, *options) -> list:
    """Give what the loss of an anchor gives, for each anchor."""
    results = []
    for row, is_positive, is_negative in zip(scores, positives.tolist(), negatives.tolist(), strict=True):
        pos = [s for s, chosen in zip(row, is_positive, strict=True) if chosen]
        neg = [s for s, chosen in zip(row, is_negative, strict=True) if chosen]
        results.append(loss(pos, neg, *options))
    return results


def reduce_by_loop(results: list, reduction: str) -> Tensor:
    """Reduce lists of terms, or tuples of lists of terms that are averaged apart."""
    parts = list(zip(*results, strict=True)) if results and isinstance(results[0], tuple) else [results]
    total, sums = torch.zeros((), dtype=torch.float64), [torch.zeros((), dtype=torch.float64) for _ in results]
    for part in parts:
        terms = [term for anchor in part for term in anchor]
        if terms:
            total = total + sum(terms) / (len(terms) if reduction == "mean" else 1)
        sums = [so_far + sum(anchor) for so_far, anchor in zip(sums, part, strict=True)]
    if reduction == "none":
        return torch.stack(sums) if sums else torch.zeros(0, dtype=torch.float64)
    return total

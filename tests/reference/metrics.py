"""Metrics of one query, from the definitions: `hits` says which answers are relevant, `n_gt` how many galleries are."""

import math


def _is_right_without_answers(n_gt):
    return 1.0 if n_gt == 0 else 0.0


def calc_cmc(hits, n_gt, k):
    if not hits:
        return _is_right_without_answers(n_gt)
    return 1.0 if any(hits[:k]) else 0.0


def calc_precision(hits, n_gt, k):
    if not hits:
        return _is_right_without_answers(n_gt)
    if n_gt == 0:
        return 0.0
    k = min(k, len(hits))
    return sum(hits[:k]) / min(n_gt, k)


def calc_map(hits, n_gt, k):
    if not hits:
        return _is_right_without_answers(n_gt)
    precisions = [sum(hits[: i + 1]) / (i + 1) for i in range(min(k, len(hits))) if hits[i]]
    return sum(precisions) / len(precisions) if precisions else 0.0


def calc_recall(hits, n_gt, k):
    if not hits:
        return _is_right_without_answers(n_gt)
    return sum(hits[:k]) / n_gt if n_gt else 0.0


def calc_map_at_r(hits, n_gt):
    if not hits:
        return _is_right_without_answers(n_gt)
    if n_gt == 0:
        return 0.0
    return sum(sum(hits[: i + 1]) / (i + 1) for i in range(min(n_gt, len(hits))) if hits[i]) / n_gt


def calc_fnmr_at_fmr(positives, negatives, rate):
    negatives = sorted(negatives)
    place = rate * (len(negatives) - 1)
    low = int(place)
    high = min(low + 1, len(negatives) - 1)
    threshold = negatives[low] + (place - low) * (negatives[high] - negatives[low])
    return sum(p >= threshold for p in positives) / len(positives)


def calc_precision_standard(hits, n_gt, k):
    return sum(hits[:k]) / k if hits else _is_right_without_answers(n_gt)


def calc_average_precision(hits, n_gt, k, divisor):
    if not hits:
        return _is_right_without_answers(n_gt)
    total = sum(sum(hits[: i + 1]) / (i + 1) for i in range(min(k, len(hits))) if hits[i])
    return total / divisor if n_gt else 0.0


def calc_map_standard(hits, n_gt, k):
    return calc_average_precision(hits, n_gt, k, min(n_gt, k))


def calc_map_trec(hits, n_gt, k):
    return calc_average_precision(hits, n_gt, k, n_gt)


def calc_ndcg(hits, n_gt, k):
    if not hits:
        return _is_right_without_answers(n_gt)
    if n_gt == 0:
        return 0.0
    found = sum(1 / math.log2(rank + 1) for rank, hit in enumerate(hits[:k], start=1) if hit)
    return found / sum(1 / math.log2(rank + 1) for rank in range(1, min(n_gt, k) + 1))


def calc_mrr(hits, n_gt, k):
    if not hits:
        return _is_right_without_answers(n_gt)
    return max((1 / rank for rank, hit in enumerate(hits[:k], start=1) if hit), default=0.0)


def calc_r_precision(hits, n_gt):
    if not hits:
        return _is_right_without_answers(n_gt)
    return sum(hits[:n_gt]) / n_gt if n_gt else 0.0


def calc_minp(hits, n_gt):
    if not hits:
        return _is_right_without_answers(n_gt)
    if n_gt == 0 or sum(hits) < n_gt:
        return 0.0
    return n_gt / max(rank for rank, hit in enumerate(hits, start=1) if hit)

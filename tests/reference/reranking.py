"""Query expansion, database augmentation, score normalisation and rank fusion, one item at a time, by definition."""

import numpy as np


def _unit(x):
    return x / np.linalg.norm(x)


def expand_one(x, neighbours, alpha):
    """Radenovic et al. 2019: x and its neighbours, weighted by cosine to the power alpha; no weight below cosine 0."""
    total = _unit(x)
    for g in map(_unit, neighbours):
        cosine = float(_unit(x) @ g)
        if cosine > 0:
            total = total + cosine**alpha * g
    return _unit(total)


def augment_all(galleries, k, alpha):
    """Each gallery expanded by its k nearest others."""
    units = np.stack([_unit(g) for g in galleries])
    result = []
    for i, x in enumerate(units):
        others = sorted((j for j in range(len(units)) if j != i), key=lambda j, x=x: (((units[j] - x) ** 2).sum(), j))
        result.append(expand_one(x, [units[j] for j in others[:k]], alpha))
    return np.stack(result)


def standardise_one(x, y, x_cohort, y_cohort, top_n):
    """Give (z-norm by y, AS-norm) of the pair's squared distance; the z-norm takes the whole cohort of y."""

    def squares(v, cohort, n):
        return np.sort(((cohort - v) ** 2).sum(1))[:n]

    square = ((x - y) ** 2).sum()
    whole = squares(y, y_cohort, None)
    z = (square - whole.mean()) / whole.std()
    of_x, of_y = squares(x, x_cohort, top_n), squares(y, y_cohort, top_n)
    return z, ((square - of_x.mean()) / of_x.std() + (square - of_y.mean()) / of_y.std()) / 2


def fuse_one(lists, k):
    """Give [(id, score)] by 1 / (k + rank), best first, equal ones by the lower id."""
    scores = {}
    for ids in lists:
        for rank, i in enumerate(ids, start=1):
            scores[i] = scores.get(i, 0.0) + 1 / (k + rank)
    return sorted(scores.items(), key=lambda item: (-round(item[1], 12), item[0]))

"""
k-reciprocal re-ranking over full matrices, written from the paper: Zhong et al., "Re-ranking Person Re-identification
with k-reciprocal Encoding", CVPR 2017, sections 3.2-3.5. Squared L2 distances; all items together are the gallery.
"""

import numpy as np


def rerank_densely(embeddings, k1=20, k2=6, lambda_value=0.3):
    """Give the final distances between all items, (N, N)."""
    x = np.asarray(embeddings, dtype=np.float64)
    n = len(x)
    distances = ((x[:, None] - x[None]) ** 2).sum(-1)
    order = distances.copy()
    np.fill_diagonal(order, -1.0)  # an item is its own first neighbour
    ranking = np.argsort(order, axis=1, kind="stable")

    def nearest(i, k):  # N(i, k), with the item itself
        return set(ranking[i, : k + 1].tolist())

    def reciprocal(i, k):  # eq. 3
        return {j for j in nearest(i, k) if i in nearest(j, k)}

    features = np.zeros((n, n))
    half = round(k1 / 2 + 1e-9)
    for i in range(n):
        base = reciprocal(i, k1)
        grown = set(base)
        for j in base:  # eq. 4
            other = reciprocal(j, half)
            if len(base & other) >= 2 / 3 * len(other) - 1e-9:
                grown |= other
        for j in grown:  # eq. 7
            features[i, j] = np.exp(-distances[i, j])
    # eq. 11: the mean over the k2 nearest, the item itself being the first
    features = np.stack([features[ranking[i, :k2]].mean(0) for i in range(n)])
    jaccard = np.zeros((n, n))
    for i in range(n):  # eq. 10
        jaccard[i] = 1 - np.minimum(features[i], features).sum(1) / np.maximum(features[i], features).sum(1)
    return (1 - lambda_value) * jaccard + lambda_value * distances  # eq. 12

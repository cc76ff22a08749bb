"""The nearest galleries by the definition: all distances in float64, one query after another."""

import numpy as np


def find_nearest(queries, galleries, k, exclude=(), dtype=np.float32):
    """Per query, distances rounded to `dtype` and ids, sorted by (distance, id)."""
    queries, galleries = np.asarray(queries, dtype=np.float64), np.asarray(galleries, dtype=np.float64)
    distances, ids = [], []
    for i, query in enumerate(queries):
        allowed = [
            j for j in range(len(galleries)) if not any(int(q_keys[i]) == int(g_keys[j]) for q_keys, g_keys in exclude)
        ]
        of_query = {j: dtype(np.sqrt(((galleries[j] - query) ** 2).sum())) for j in allowed}
        best = sorted(allowed, key=lambda j: (of_query[j], j))[:k]
        distances.append([of_query[j] for j in best])
        ids.append(best)
    return distances, ids


def find_relevant(labels_query, labels_gallery, exclude=()):
    """Per query, the ids of the galleries of its label that are not excluded."""
    return [
        [
            j
            for j in range(len(labels_gallery))
            if int(labels_gallery[j]) == int(label)
            and not any(int(q_keys[i]) == int(g_keys[j]) for q_keys, g_keys in exclude)
        ]
        for i, label in enumerate(labels_query)
    ]

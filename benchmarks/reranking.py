"""
k-reciprocal re-ranking at the size of Market-1501, 3,368 queries and 15,913 galleries, against the dense form.

The dense form follows sections 3.2-3.5 of Zhong et al., CVPR 2017, with matrices of all items in float32 and numpy.
Both sides start from the embeddings and re-rank the same 100 answers; each runs in a process of its own, one after the
other, and both must agree. Memory is by how much the peak resident size grows beyond the inputs (VmHWM).

    python benchmarks/reranking.py
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from memory import read_peak_memory, reset_peak_memory
from report import write_results

from oml.functional.k_reciprocal import calc_k_reciprocal_distances

N_QUERIES, N_GALLERIES, N_FEATURES, N_LABELS, WIDTH = 3_368, 15_913, 384, 1_501, 100
K1, K2, LAMBDA = 20, 6, 0.3


def make_items() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(N_LABELS, N_FEATURES, generator=generator)
    labels = torch.randint(0, N_LABELS, (N_QUERIES + N_GALLERIES,), generator=generator)
    x = centres[labels] + 0.9 * torch.randn(len(labels), N_FEATURES, generator=generator)
    return torch.nn.functional.normalize(x)


def find_candidates(x: torch.Tensor) -> torch.Tensor:
    """Give the rows of the nearest galleries of each query."""
    similarities = x[:N_QUERIES] @ x[N_QUERIES:].T
    return similarities.topk(WIDTH, dim=1).indices + N_QUERIES


def rerank_densely(embeddings: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    n_items = len(embeddings)
    norms = (embeddings**2).sum(1)
    distances = norms[:, None] + norms[None]
    distances -= 2 * embeddings @ embeddings.T
    np.fill_diagonal(distances, -1.0)  # an item is its own first neighbour
    ranking = np.argsort(distances, axis=1)
    np.fill_diagonal(distances, 0.0)

    def reciprocal(i: int, k: int) -> np.ndarray:
        near = ranking[i, : k + 1]
        return near[(ranking[near, : k + 1] == i).any(1)]

    features = np.zeros((n_items, n_items), dtype=np.float32)
    for i in range(n_items):
        base = reciprocal(i, K1)
        grown = [base]
        for j in base:
            other = reciprocal(j, K1 // 2)
            if 3 * len(np.intersect1d(base, other)) >= 2 * len(other):
                grown.append(other)
        members = np.unique(np.concatenate(grown))
        features[i, members] = np.exp(-distances[i, members])
    averaged = np.empty_like(features)
    for i in range(n_items):
        averaged[i] = features[ranking[i, :K2]].mean(0)
    having = [np.flatnonzero(averaged[:, j]) for j in range(n_items)]
    sums = averaged.sum(1)
    final = np.empty((len(candidates), WIDTH), dtype=np.float32)
    for q in range(len(candidates)):
        common = np.zeros(n_items, dtype=np.float32)
        for j in np.flatnonzero(averaged[q]):
            common[having[j]] += np.minimum(averaged[q, j], averaged[having[j], j])
        jaccard = 1 - common / (sums[q] + sums - common)
        final[q] = ((1 - LAMBDA) * jaccard + LAMBDA * distances[q])[candidates[q]]
    return final


def rerank_by_lists(x: torch.Tensor, candidates: torch.Tensor) -> np.ndarray:
    return calc_k_reciprocal_distances(x, torch.arange(N_QUERIES), candidates, K1, K2, LAMBDA).numpy()


def run_side(side: str, path: Path) -> None:
    """Print seconds and bytes of one side and write its distances."""
    x = make_items()
    candidates = find_candidates(x)
    if side == "lists":  # threads, and the choice of a product
        calc_k_reciprocal_distances(x[:2000], torch.arange(10), candidates[:10] % 2000, K1, K2, LAMBDA)
    before = reset_peak_memory()
    start, start_cpu = time.perf_counter(), time.process_time()
    found = rerank_by_lists(x, candidates) if side == "lists" else rerank_densely(x.numpy(), candidates.numpy())
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - start_cpu
    growth = read_peak_memory() - before
    np.save(path, found)
    result = {"seconds": seconds, "processor seconds, all threads": cpu_seconds, "peak beyond inputs, MB": growth / 1e6}
    print(json.dumps({name: round(value, 2) for name, value in result.items()}))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", choices=["lists", "dense"], help="run one side in this process, and print")
    parser.add_argument("--path", type=Path)
    options = parser.parse_args()
    if options.side:
        run_side(options.side, options.path)
        return
    results, found = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for side in ("lists", "dense"):
            path = Path(folder) / f"{side}.npy"
            command = [sys.executable, __file__, "--side", side, "--path", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            results[side], found[side] = json.loads(done.stdout), np.load(path)
            print(side, results[side], flush=True)
    # equal but for neighbours whose order float32 products cannot tell
    results["share of equal distances (1e-4)"] = float(np.isclose(found["lists"], found["dense"], atol=1e-4).mean())
    results["dense / lists"] = {
        key: round(results["dense"][key] / results["lists"][key], 1) for key in results["lists"]
    }
    print(results)
    write_results("reranking", results)


if __name__ == "__main__":
    main()

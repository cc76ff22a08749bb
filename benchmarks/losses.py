"""
Losses of pairs and rankings, forward and backward on given features, beside those of pytorch-metric-learning.

Times are the least milliseconds of rounds in which the sides take turns; a side that takes more than a second is run
once. The largest memory of a step is that of our side, in a process of its own. Run: `python benchmarks/losses.py`; it
takes about two minutes.
"""

import multiprocessing
import time
from collections.abc import Callable
from typing import Any

import torch
from memory import read_peak_memory, reset_peak_memory
from pytorch_metric_learning import losses as pml
from pytorch_metric_learning import miners as pml_miners
from report import write_results
from torch import Tensor, nn

from oml import losses

DIM = 384
SIZES = ((64, 4), (256, 4), (512, 8), (1024, 8))  # items in a batch, items of a label
MAX_SECONDS = 0.3  # of one side at one size, if its first run is not longer
SLOW = {"NT-Xent": 256, "SmoothAP": 256, "semi-hard triplet": 512}  # sizes up to which the peer is run

TSide = Callable[[Tensor, Tensor], Tensor]


def make_ours() -> dict[str, nn.Module]:
    return {
        "contrastive": losses.ContrastiveLoss(),
        "semi-hard triplet": losses.SemiHardTripletLoss(),
        "lifted structure": losses.LiftedStructureLoss(),
        "NT-Xent": losses.NTXentLoss(),
        "SupCon": losses.SupConLoss(),
        "multi-similarity": losses.MultiSimilarityLoss(epsilon=None),
        "multi-similarity, mined": losses.MultiSimilarityLoss(),
        "circle": losses.CircleLoss(),
        "SmoothAP": losses.SmoothAPLoss(),
        "FastAP": losses.FastAPLoss(),
        "recall@k": losses.RecallAtKLoss(),
        "surrogate precision": losses.SurrogatePrecision(),
    }


def make_peers() -> dict[str, TSide]:
    semi_hard, mined = pml_miners.TripletMarginMiner(0.2, "semihard"), pml_miners.MultiSimilarityMiner(0.1)
    triplet, multi_similarity = pml.TripletMarginLoss(0.2), pml.MultiSimilarityLoss(2, 50, 0.5)
    return {
        "contrastive": pml.ContrastiveLoss(),
        "semi-hard triplet": lambda x, y: triplet(x, y, semi_hard(x, y)),
        "lifted structure": pml.GeneralizedLiftedStructureLoss(),
        "NT-Xent": pml.NTXentLoss(),
        "SupCon": pml.SupConLoss(),
        "multi-similarity": multi_similarity,
        "multi-similarity, mined": lambda x, y: multi_similarity(x, y, mined(x, y)),
        "circle": pml.CircleLoss(),
        "SmoothAP": pml.SmoothAPLoss(),
        "FastAP": pml.FastAPLoss(),
    }


def make_batch(n_items: int, n_instances: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = torch.nn.functional.normalize(torch.randn(n_items, DIM, generator=generator))
    return features.requires_grad_(), torch.arange(n_items) // n_instances


def step(side: TSide, features: Tensor, labels: Tensor) -> None:
    features.grad = None
    side(features, labels).backward()


def measure(sides: dict[str, TSide], n_items: int, n_instances: int) -> dict[str, float]:
    """Give the least milliseconds of a step of each side."""
    features, labels = make_batch(n_items, n_instances)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for name, side in sides.items():
        start = time.perf_counter()
        step(side, features, labels)
        first = time.perf_counter() - start
        if first > 1:
            seconds[name].append(first)
    for _ in range(30):
        for name, side in sides.items():
            if seconds[name] and (seconds[name][0] > 1 or sum(seconds[name]) > MAX_SECONDS):
                continue
            start = time.perf_counter()
            step(side, features, labels)
            seconds[name].append(time.perf_counter() - start)
    return {name: round(1e3 * min(values), 2) for name, values in seconds.items()}


def measure_memory(name: str) -> float:
    """Give the MB that a step of 1024 items takes beyond the batch; to be run in a process of its own."""
    criterion = make_ours()[name]
    step(criterion, *make_batch(64, 8))
    batch = make_batch(1024, 8)
    before = reset_peak_memory()
    step(criterion, *batch)
    return round((read_peak_memory() - before) / 2**20, 1)


def main() -> None:
    """Measure all, print and write."""
    torch.manual_seed(0)
    results: dict[str, Any] = {}
    for n_items, n_instances in SIZES:
        ours = {f"{name} | ours": side for name, side in make_ours().items()}
        peers = {f"{n} | peer": side for n, side in make_peers().items() if n_items <= SLOW.get(n, n_items)}
        times = measure({**ours, **peers}, n_items, n_instances)
        rows: dict[str, Any] = {}
        for key, milliseconds in times.items():
            name, side = key.split(" | ")
            rows.setdefault(name, {})["ours, ms" if side == "ours" else "pytorch-metric-learning, ms"] = milliseconds
        for row in rows.values():
            if len(row) == 2:
                row["times as fast"] = round(row["pytorch-metric-learning, ms"] / row["ours, ms"], 1)
        results[f"B={n_items}, K={n_instances}, D={DIM}"] = rows
        print(n_items, n_instances, rows, flush=True)
    memory = {}
    for name in make_ours():
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            memory[name] = pool.apply(measure_memory, (name,))
    results["memory of a step of 1024 items, MB"] = memory
    print(memory)
    print(write_results("losses", results))


if __name__ == "__main__":
    main()

"""
One training step of the triplet loss over all triplets, and over hard ones, on given features: forward and backward.

All sides get the same batch, margin and mean over all triplets, and must agree on the loss. Times are medians of rounds
in which the sides take turns. Memory is by how much one step lifts the peak resident size of a fresh process (VmHWM,
reset before the step; a small batch has warmed up threads and allocator). The plain loop is timed once, for it takes
seconds, and only where there is memory for it.

    python benchmarks/triplet_all.py
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from memory import read_peak_memory, reset_peak_memory
from report import write_results
from torch import Tensor

from oml.functional.distances import pairwise_dist
from oml.losses import TripletLossWithMiner
from oml.miners import AllTripletsMiner, HardTripletsMiner

MARGIN = 0.3
N_FEATURES = 384
SIZES = {64: 4, 256: 4, 512: 8, 1024: 8}  # items in a batch: items of a label
LOOPED = {256: 4, 512: 20}  # items in a batch: GB of memory that must be free for the plain loop
MIN_ROUNDS, MAX_SECONDS = 3, 3.0  # of one side at one size


class ListedTripletsMiner(AllTripletsMiner):
    """All triplets, listed: the loss reads the distances by index."""

    def sample_ids(self, features, labels, distances=None):
        return super().sample_ids(features, labels, distances)


def make_batch(n_items: int, n_instances: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = torch.nn.functional.normalize(torch.randn(n_items, N_FEATURES, generator=generator))
    return features.requires_grad_(), torch.arange(n_items) // n_instances


def make_sides() -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    from pytorch_metric_learning import distances, losses, miners, reducers

    l2 = distances.LpDistance(normalize_embeddings=False)
    peer = losses.TripletMarginLoss(margin=MARGIN, distance=l2, reducer=reducers.MeanReducer())
    hard = miners.BatchHardMiner(distance=l2)
    return {
        "ours": TripletLossWithMiner(MARGIN, AllTripletsMiner()),
        "ours, listed": TripletLossWithMiner(MARGIN, ListedTripletsMiner()),
        "ours, soft margin": TripletLossWithMiner(None, AllTripletsMiner()),
        "pytorch-metric-learning": peer,
        "ours, hard": TripletLossWithMiner(MARGIN, HardTripletsMiner()),
        "pytorch-metric-learning, hard": lambda x, y: peer(x, y, hard(x, y)),
        "loop": loop_over_triplets,
        "distances alone": lambda x, y: pairwise_dist(x, x).mean(),
    }


MUST_AGREE = (
    ("ours", "ours, listed", "pytorch-metric-learning", "loop"),
    ("ours, hard", "pytorch-metric-learning, hard"),
)


def loop_over_triplets(features: Tensor, labels: Tensor) -> Tensor:
    """The definition: list the triplets by loops, take three (T, D) copies of features, compare row by row."""
    groups: dict[int, list[int]] = {}
    for item, label in enumerate(labels.tolist()):
        groups.setdefault(label, []).append(item)
    triplets = [
        (anchor, positive, negative)
        for label, items in groups.items()
        for anchor in items
        for positive in items
        if anchor != positive
        for negative in range(len(labels))
        if labels[negative] != label
    ]
    anchor, positive, negative = (features[[t[i] for t in triplets]] for i in range(3))
    distances = [torch.nn.functional.pairwise_distance(anchor, other, eps=0) for other in (positive, negative)]
    return torch.relu(MARGIN + distances[0] - distances[1]).mean()


def step(side: Callable[[Tensor, Tensor], Tensor], features: Tensor, labels: Tensor) -> float:
    features.grad = None
    loss = side(features, labels)
    loss.backward()
    return loss.item()


def measure_times(n_items: int, n_instances: int, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Give the median milliseconds of a step of each side, and the losses."""
    features, labels = make_batch(n_items, n_instances)
    sides = make_sides()
    loop = sides.pop("loop")
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    losses = {name: step(side, features, labels) for name, side in sides.items()}
    for _ in range(rounds):
        for name, side in sides.items():
            if len(seconds[name]) >= MIN_ROUNDS and sum(seconds[name]) > MAX_SECONDS:
                continue
            step(side, features, labels)  # caches are warm with its own data
            start = time.perf_counter()
            step(side, features, labels)
            seconds[name].append(time.perf_counter() - start)
    if n_items in LOOPED and read_free_gb() > LOOPED[n_items]:
        start = time.perf_counter()
        losses["loop"] = step(loop, features, labels)
        seconds["loop"] = [time.perf_counter() - start]
    return {name: round(1e3 * statistics.median(s), 3) for name, s in seconds.items()}, losses


def check_agreement(losses: dict[str, float]) -> None:
    for names in MUST_AGREE:
        values = [losses[name] for name in names if name in losses]
        if max(values) - min(values) > 1e-5 * abs(values[0]):
            raise SystemExit(f"The sides do not compute the same: {dict(zip(names, values, strict=False))}")


def measure_memory(name: str, n_items: int, n_instances: int) -> float:
    """Give by how many MB one step lifts the peak of this process (Linux)."""
    side = make_sides()[name]
    step(side, *make_batch(16, 4))
    features, labels = make_batch(n_items, n_instances)
    before = reset_peak_memory()
    step(side, features, labels)
    return round((read_peak_memory() - before) / 2**20, 1)


def read_free_gb() -> float:
    return int(Path("/proc/meminfo").read_text().split("MemAvailable:")[1].split()[0]) / 2**20


def run_memory(name: str, n_items: int, n_instances: int) -> float:
    threads = ["--threads", str(torch.get_num_threads())]
    command = [sys.executable, __file__, *threads, "--memory-of", name, str(n_items), str(n_instances)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--memory-of", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.memory_of:
        name, n_items, n_instances = args.memory_of
        print(measure_memory(name, int(n_items), int(n_instances)))
        return

    results: dict[str, object] = {"load_average_at_start": os.getloadavg()[0]}
    for n_items, n_instances in SIZES.items():
        times, losses = measure_times(n_items, n_instances, args.rounds)
        check_agreement(losses)
        memory = {name: run_memory(name, n_items, n_instances) for name in times}
        results[f"B={n_items}, {n_items // n_instances} labels x {n_instances}, D={N_FEATURES}"] = {
            "n_triplets": n_items * (n_instances - 1) * (n_items - n_instances),
            "step_ms": times,
            "peak_memory_mb": memory,
            "loss": losses,
        }
        print(n_items, json.dumps({"step_ms": times, "peak_memory_mb": memory}, indent=1))
    print(write_results("triplet_all", results))


if __name__ == "__main__":
    main()

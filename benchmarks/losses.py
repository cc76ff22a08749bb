"""
Losses of pairs and rankings, forward and backward on given features, beside those of pytorch-metric-learning.

Times are the least milliseconds of rounds in which the sides take turns; a side that takes more than a second is run
once. Memories of earlier items are full, of 10 batches beside the batch on both sides; theirs holds the batch, too. The
largest memory of a step is that of our side, in a process of its own. Run: `python benchmarks/losses.py`; it takes
about three minutes.
"""

import itertools
import multiprocessing
import time
from collections.abc import Callable
from typing import Any

import torch
from memory import read_peak_memory, reset_peak_memory
from pytorch_metric_learning import distances
from pytorch_metric_learning import losses as pml
from pytorch_metric_learning import miners as pml_miners
from report import write_results
from torch import Tensor, nn

from oml import losses

DIM = 384
SIZES = ((64, 4), (256, 4), (512, 8), (1024, 8))  # items in a batch, items of a label
MAX_SECONDS = 0.3  # of one side at one size, if its first run is not longer
BANK = 10  # batches in a memory
# sizes up to which the peer is run
SLOW = {"NT-Xent": 256, "SmoothAP": 256, "semi-hard triplet": 512, "semi-hard triplet, memory": 64}

TSide = Callable[[Tensor, Tensor], Tensor]
TBatch = tuple[Tensor, Tensor]


def make_ours(n_items: int) -> dict[str, nn.Module]:
    with_memory = {
        "contrastive, memory": losses.ContrastiveLoss(),
        "multi-similarity, memory": losses.MultiSimilarityLoss(epsilon=None),
        "semi-hard triplet, memory": losses.SemiHardTripletLoss(),
    }
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
        **{name: losses.CrossBatchMemory(loss, BANK * n_items) for name, loss in with_memory.items()},
    }


def make_peers(n_items: int) -> dict[str, TSide]:
    def remember(loss: nn.Module, miner: Any = None) -> nn.Module:
        return pml.CrossBatchMemory(loss, DIM, memory_size=(BANK + 1) * n_items, miner=miner)

    as_they_are = distances.LpDistance(normalize_embeddings=False)
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
        "contrastive, memory": remember(pml.ContrastiveLoss(distance=as_they_are)),
        "multi-similarity, memory": remember(multi_similarity),
        "semi-hard triplet, memory": remember(triplet, semi_hard),
    }


def make_batches(n_items: int, n_instances: int) -> list[TBatch]:
    """Give as many batches as a memory takes, and one more; some of their labels are the same."""
    generator = torch.Generator().manual_seed(0)
    batches = []
    for number in range(BANK + 1):
        features = torch.nn.functional.normalize(torch.randn(n_items, DIM, generator=generator))
        batches.append((features.requires_grad_(), torch.arange(n_items) // n_instances + 10 * number))
    return batches


def step(side: TSide, batch: TBatch) -> float:
    batch[0].grad = None
    loss = side(*batch)
    loss.backward()
    return loss.item()


def measure(sides: dict[str, TSide], batches: list[TBatch]) -> dict[str, float]:
    """Give the least milliseconds of a step of each side; sides with a memory must agree when it is full."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    values: dict[str, float] = {}
    for name, side in sides.items():
        for batch in batches if "memory" in name else batches[-1:]:
            start = time.perf_counter()
            values[name] = step(side, batch)
            first = time.perf_counter() - start
        if first > 1:
            seconds[name].append(first)
    check_agreement(values)
    for _, batch in zip(range(30), itertools.cycle(batches), strict=False):
        for name, side in sides.items():
            if seconds[name] and (seconds[name][0] > 1 or sum(seconds[name]) > MAX_SECONDS):
                continue
            step(side, batch)  # caches are warm with its own data, not cold after another side's
            start = time.perf_counter()
            step(side, batch)
            seconds[name].append(time.perf_counter() - start)
    return {name: round(1e3 * min(values), 2) for name, values in seconds.items()}


def check_agreement(values: dict[str, float]) -> None:
    for name, value in values.items():
        peer = values.get(name.replace("| ours", "| peer"), value)
        if "memory" in name and abs(peer - value) > 1e-4 * abs(value):
            raise SystemExit(f"The sides do not compute the same: {name} {value}, {peer}")


def measure_memory(name: str) -> float:
    """Give the MB that a step of 1024 items takes beyond the batch; to be run in a process of its own."""
    criterion = make_ours(1024)[name]
    batches = make_batches(1024, 8)
    for batch in batches if "memory" in name else make_batches(64, 8)[:1]:
        step(criterion, batch)
    before = reset_peak_memory()
    step(criterion, batches[0])
    return round((read_peak_memory() - before) / 2**20, 1)


def main() -> None:
    """Measure all, print and write."""
    torch.manual_seed(0)
    results: dict[str, Any] = {}
    for n_items, n_instances in SIZES:
        ours = {f"{name} | ours": side for name, side in make_ours(n_items).items()}
        peers = {f"{n} | peer": side for n, side in make_peers(n_items).items() if n_items <= SLOW.get(n, n_items)}
        batches, times = make_batches(n_items, n_instances), {}
        for has_memory in (False, True):  # apart: what large lists of pairs leave of the heap slows down all the others
            sides = {name: side for name, side in {**ours, **peers}.items() if ("memory" in name) == has_memory}
            times |= measure(sides, batches)
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
    for name in make_ours(64):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            memory[name] = pool.apply(measure_memory, (name,))
    results["memory of a step of 1024 items, MB"] = memory
    print(memory)
    print(write_results("losses", results))


if __name__ == "__main__":
    main()

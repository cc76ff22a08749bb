"""
Triplet steps with each miner, forward and backward on given features, and the share that mining takes of them.

Each miner stands beside its counterpart of pytorch-metric-learning, if it has one: the same margin, L2 distances and
mean over all triplets found; the losses must agree where both find the same triplets. Times are the best of rounds in
which the sides take turns, on two threads; a side that takes more than a second is run once. Banks are full, of 10
batches of the same size; mining with them is compared with the distances to the batch and to the bank, mining in the
batch with those to the batch.

    python benchmarks/miners.py
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any

import torch
from pytorch_metric_learning import distances, losses, miners, reducers
from report import write_results
from torch import Tensor

from oml.functional.distances import pairwise_dist
from oml.losses import TripletLossWithMiner
from oml.miners import (
    AllTripletsMiner,
    HardClusterMiner,
    HardTripletsMiner,
    MinerWithBank,
    NHardTripletsMiner,
    PairsMiner,
    TripletMinerWithMemory,
)

MARGIN, N_FEATURES, BANK = 0.3, 384, 10
SIZES = ((64, 4), (256, 4), (512, 8), (1024, 8))  # items in a batch, items of a label
MAX_SECONDS = 0.4  # of one side at one size, if its first run is not longer
WITH_BANK = "distances to batch and bank"
MINING_LIMIT = 3.0  # how many times that of the matrix of distances mining in the batch may take

L2 = distances.LpDistance(normalize_embeddings=False)
PEER = losses.TripletMarginLoss(margin=MARGIN, distance=L2, reducer=reducers.MeanReducer())
TSide = Callable[[Tensor, Tensor], Tensor]


def join_peer(miner: Any) -> TSide:
    return lambda x, y: PEER(x, y, miner(x, y))


def make_peers(n_items: int) -> dict[str, TSide]:
    memory = losses.CrossBatchMemory(
        PEER, N_FEATURES, memory_size=BANK * n_items, miner=miners.BatchHardMiner(distance=L2)
    )
    return {
        "BatchHardMiner": join_peer(miners.BatchHardMiner(distance=L2)),
        "TripletMarginMiner, all": join_peer(miners.TripletMarginMiner(MARGIN, "all", distance=L2)),
        "TripletMarginMiner, semihard": join_peer(miners.TripletMarginMiner(MARGIN, "semihard", distance=L2)),
        "HDCMiner": join_peer(miners.HDCMiner(0.25, distance=L2)),
        "no miner, all triplets": lambda x, y: PEER(x, y),
        "CrossBatchMemory with BatchHardMiner": lambda x, y: memory(x, y),
    }


def make_miners() -> dict[str, Any]:
    return {
        "HardTripletsMiner": HardTripletsMiner(),
        "NHardTripletsMiner(1, 1)": NHardTripletsMiner(),
        "NHardTripletsMiner(3, 20)": NHardTripletsMiner(3, 20),
        "NHardTripletsMiner((2, 3), (2, 10))": NHardTripletsMiner((2, 3), (2, 10)),
        "AllTripletsMiner": AllTripletsMiner(),
        "HardClusterMiner": HardClusterMiner(),
        "MinerWithBank(10, NHardTripletsMiner(1, 1))": MinerWithBank(BANK, NHardTripletsMiner()),
        "TripletMinerWithMemory(10, 3)": TripletMinerWithMemory(BANK, 3),
    }


def make_mining(miner: Any) -> TSide:
    """Give what a loss asks the miner for, the matrix of distances included, without a backward pass."""
    if hasattr(miner, "sample_candidates"):
        return lambda x, y: miner.sample_candidates(pairwise_dist(x, x), y)
    return miner.sample_distances if hasattr(miner, "sample_distances") else miner.sample


def make_sides(n_items: int) -> dict[str, Callable[[Tensor, Tensor], Any]]:
    sides: dict[str, Callable[[Tensor, Tensor], Any]] = {}
    for name, miner in make_miners().items():
        criterion = TripletLossWithMiner(MARGIN, miner)
        sides[f"{name} | step"] = lambda x, y, criterion=criterion: step(criterion, x, y)
        sides[f"{name} | mining"] = without_gradient(make_mining(miner))
    sides["PairsMiner | mining"] = without_gradient(PairsMiner().sample)
    for name, peer in make_peers(n_items).items():
        sides[f"pytorch-metric-learning {name} | step"] = lambda x, y, peer=peer: step(peer, x, y)
    bank = torch.randn(BANK * n_items, N_FEATURES)
    sides[f"{WITH_BANK} | mining"] = without_gradient(lambda x, _: (pairwise_dist(x, x), pairwise_dist(x, bank)))
    sides["distances | mining"] = without_gradient(lambda x, _: pairwise_dist(x, x))
    sides["distances | step"] = lambda x, y: step(lambda x, _: pairwise_dist(x, x).mean(), x, y)
    return sides


def step(side: TSide, features: Tensor, labels: Tensor) -> float:
    features.grad = None
    loss = side(features, labels)
    loss.backward()
    return loss.item()


def without_gradient(side: TSide) -> TSide:
    return lambda x, y: side(x.detach(), y)


def measure(n_items: int, n_instances: int, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Give the least milliseconds of each side, and the losses of the steps in the first round."""
    generator = torch.Generator().manual_seed(0)
    batches = [
        torch.nn.functional.normalize(torch.randn(n_items, N_FEATURES, generator=generator)) for _ in range(BANK)
    ]
    features, labels = batches[0].clone().requires_grad_(), torch.arange(n_items) // n_instances
    sides = make_sides(n_items)
    values, first = {}, {}
    for name, side in sides.items():
        if "Bank" in name or "Memory" in name:
            for number, batch in enumerate(batches):
                side(batch.requires_grad_(), labels + number * 10)
        start = time.perf_counter()
        value = side(features, labels)
        first[name] = time.perf_counter() - start
        if isinstance(value, float):
            values[name.removesuffix(" | step")] = value
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            if first[name] > 1 or sum(seconds[name]) > MAX_SECONDS:
                continue
            side(features, labels)  # caches are warm with its own data
            start = time.perf_counter()
            side(features, labels)
            seconds[name].append(time.perf_counter() - start)
    return {name: round(1e3 * min(s, default=first[name]), 3) for name, s in seconds.items()}, values


def check_agreement(values: dict[str, float]) -> None:
    for names in (
        ("HardTripletsMiner", "NHardTripletsMiner(1, 1)", "pytorch-metric-learning BatchHardMiner"),
        ("AllTripletsMiner", "pytorch-metric-learning no miner, all triplets"),
    ):
        found = [values[name] for name in names]
        if max(found) - min(found) > 1e-5 * found[0]:
            raise SystemExit(f"The sides do not compute the same: {dict(zip(names, found, strict=True))}")


def summarise(times: dict[str, float]) -> dict[str, dict[str, float]]:
    """Give per miner the step, the mining, its share of the step and its ratio to the matrix of distances."""
    table: dict[str, dict[str, float]] = {}
    for name, milliseconds in times.items():
        side, kind = name.split(" | ")
        table.setdefault(side, {})[f"{kind}_ms"] = milliseconds
    for side, row in table.items():
        if "mining_ms" in row and not side.startswith("distances"):
            matrix = WITH_BANK if "Bank" in side or "Memory" in side else "distances"
            row["mining_to_distances"] = round(row["mining_ms"] / times[f"{matrix} | mining"], 2)
            if "step_ms" in row:
                row["mining_share"] = round(row["mining_ms"] / row["step_ms"], 2)
    return table


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    results: dict[str, Any] = {"load_average_at_start": os.getloadavg()[0]}
    for n_items, n_instances in SIZES:
        times, values = measure(n_items, n_instances, args.rounds)
        check_agreement(values)
        table = summarise(times)
        results[f"B={n_items}, {n_items // n_instances} labels x {n_instances}, D={N_FEATURES}"] = table
        print(n_items, json.dumps(table, indent=1))
        for name, row in table.items():
            if row.get("mining_to_distances", 0) > MINING_LIMIT:
                print(f"{name}: mining takes more than {MINING_LIMIT} times the matrix of distances")
    print(write_results("miners", results))


if __name__ == "__main__":
    main()

"""
Batch samplers over 1,000,000 items of 100,000 labels in 1,000 categories: how soon the first batch comes.

Labels are in random order, in an array and in a list. `MPerClassSampler` of pytorch-metric-learning stands beside
`BalanceSampler`: it gives single items and forms its whole epoch before the first one.

    python benchmarks/samplers.py
"""

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from pytorch_metric_learning.samplers import MPerClassSampler
from report import write_results

from oml.samplers import BalanceSampler, CategoryBalanceSampler, DistinctCategoryBalanceSampler

N_ITEMS, N_LABELS, N_CATEGORIES = 1_000_000, 100_000, 1_000
MAX_START_SECONDS = 0.3  # from the labels to the first batch
N_LABELS_IN_BATCH, N_INSTANCES = 64, 4
BATCH_SIZE = N_LABELS_IN_BATCH * N_INSTANCES
N_BATCHES = N_LABELS // N_LABELS_IN_BATCH
N_TIMED = 200


class PeerInBatches:
    def __init__(self, labels: Any) -> None:
        self.sampler = MPerClassSampler(labels, N_INSTANCES, BATCH_SIZE, length_before_new_iter=N_BATCHES * BATCH_SIZE)

    def __iter__(self) -> Iterator[list[int]]:
        items = iter(self.sampler)
        while batch := list(itertools.islice(items, BATCH_SIZE)):
            yield batch


def make_sides(labels: Any) -> dict[str, Callable[[], Any]]:
    label2category = {label: label % N_CATEGORIES for label in range(N_LABELS)}
    sizes = {"n_categories": 4, "n_labels": N_LABELS_IN_BATCH // 4, "n_instances": N_INSTANCES, "seed": 0}
    return {
        "BalanceSampler": lambda: BalanceSampler(labels, N_LABELS_IN_BATCH, N_INSTANCES, seed=0),
        "CategoryBalanceSampler": lambda: CategoryBalanceSampler(labels, label2category, **sizes),
        "DistinctCategoryBalanceSampler": lambda: DistinctCategoryBalanceSampler(
            labels, label2category, epoch_size=N_BATCHES, **sizes
        ),
        "pytorch-metric-learning, MPerClassSampler": lambda: PeerInBatches(labels),
    }


def measure(make: Callable[[], Any]) -> dict[str, float]:
    """Give the seconds of the constructor and of the first batch, and the milliseconds of each further batch."""
    start = time.perf_counter()
    sampler = make()
    made = time.perf_counter()
    batches = iter(sampler)
    first = next(batches)
    given = time.perf_counter()
    assert len(first) == BATCH_SIZE
    for _ in range(N_TIMED):
        next(batches)
    each = (time.perf_counter() - given) / N_TIMED
    return {"constructor_s": made - start, "first_batch_s": given - made, "further_batch_ms": 1e3 * each}


def measure_resuming(make: Callable[[], Any]) -> float:
    """Give the seconds from a state in the middle of an epoch to its next batch."""
    sampler = make()
    list(itertools.islice(sampler, 1))
    state = sampler.state_dict(n_batches=N_BATCHES // 2)
    sampler.load_state_dict(state)
    start = time.perf_counter()
    next(iter(sampler))
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    labels = np.random.default_rng(0).permutation(np.arange(N_ITEMS) % N_LABELS)
    results: dict[str, Any] = {}
    for container, given in (("array", labels), ("list", labels.tolist())):
        for name, make in make_sides(given).items():
            rounds = [measure(make) for _ in range(args.rounds)]
            found = {key: round(statistics.median(r[key] for r in rounds), 4) for key in rounds[0]}
            if not name.startswith("pytorch"):
                found["resumed_batch_s"] = round(measure_resuming(make), 4)
                if found["constructor_s"] + found["first_batch_s"] > MAX_START_SECONDS:
                    raise SystemExit(f"{name} is slower than promised: {found}")
            results[f"{name}, labels in {'an array' if container == 'array' else 'a list'}"] = found
            print(name, container, json.dumps(found))
    print(write_results("samplers", results))


if __name__ == "__main__":
    main()

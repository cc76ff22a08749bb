"""
Retrieval results of 60,500 queries with 100 answers each: making them with all checks, hits, thresholds, a file.

Then 1,000,000 queries with 100 answers: by how much the peak resident size of a fresh process grows (VmHWM, reset
before), against the bytes of the arrays, which are made in place and are counted.

    python benchmarks/retrieval_results.py
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from memory import read_peak_memory, reset_peak_memory
from report import write_results

from oml.retrieval import AdaptiveThresholding, ConstantThresholding, LabelGroundTruth, RetrievalResults

N_LABELS = 11_300
N_ROUNDS = 7


def make_arrays(n_queries: int, width: int):
    """Give distances, ids and labels; made in place, so that making them takes no more memory than they have."""
    generator = torch.Generator().manual_seed(0)
    distances = torch.empty(n_queries, width).uniform_(0, 2 / width, generator=generator)
    torch.cumsum(distances, dim=1, out=distances)
    # steps of a size that shares no factor with the number of items never come back to an id
    ids = torch.arange(width).mul_(7).expand(n_queries, width).clone()
    ids += torch.arange(n_queries)[:, None]
    ids %= n_queries
    return distances, ids, torch.randint(0, N_LABELS, (n_queries,), generator=generator)


def make_results(distances, ids, labels) -> RetrievalResults:
    items = torch.arange(len(labels))
    ground_truth = LabelGroundTruth(labels, labels, [(items, items)])
    return RetrievalResults.from_arrays(distances, ids, ground_truth=ground_truth)


def take_time(call: Callable[[], object]) -> float:
    """Give the median in milliseconds; the first call warms up."""
    call()
    times = []
    for _ in range(N_ROUNDS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return round(1000 * statistics.median(times), 1)


def measure_times() -> dict[str, float]:
    arrays = make_arrays(60_500, 100)
    rr = make_results(*arrays)
    rows = [list(x.unbind()) for x in arrays[:2]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rr"
        rr.save(path)
        return {
            "from arrays, labels counted": take_time(lambda: make_results(*arrays)),
            "from lists of tensors": take_time(lambda: RetrievalResults(*rows)),
            "hits of 100 columns": take_time(lambda: rr.calc_hits()),
            "AdaptiveThresholding": take_time(lambda: AdaptiveThresholding(2.5).process(rr)),
            "ConstantThresholding": take_time(lambda: ConstantThresholding(0.5).process(rr)),
            "save": take_time(lambda: rr.save(path)),
            "load": take_time(lambda: RetrievalResults.load(path)),
            "load and look at all answers": take_time(lambda: RetrievalResults.load(path).calc_hits()),
        }


def measure_memory() -> None:
    """Print by how many times the bytes of the arrays the process has grown; runs in a process of its own."""
    make_results(*make_arrays(1000, 100)).calc_hits()  # threads and allocator
    before = reset_peak_memory()
    arrays = make_arrays(1_000_000, 100)
    rr = make_results(*arrays)
    n_bytes = sum(x.numel() * x.element_size() for x in (*arrays, rr.lengths))
    print(n_bytes, read_peak_memory() - before)


def main() -> None:
    warnings.simplefilter("ignore", UserWarning)  # some queries have a label of their own
    parser = argparse.ArgumentParser()
    parser.add_argument("--memory", action="store_true", help="measure the memory in this process and print it")
    if parser.parse_args().memory:
        measure_memory()
        return
    done = subprocess.run([sys.executable, __file__, "--memory"], capture_output=True, text=True, check=True)
    n_bytes, growth = map(int, done.stdout.split())
    memory = {
        "arrays, MB": round(n_bytes / 1e6),
        "growth, MB": round(growth / 1e6),
        "ratio": round(growth / n_bytes, 3),
    }
    results = {
        "60,500 queries x 100 answers, ms": measure_times(),
        "1,000,000 queries x 100 answers, memory": memory,
    }
    print(results)
    write_results("retrieval_results", results)


if __name__ == "__main__":
    main()

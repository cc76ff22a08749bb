"""
Exact search beside `faiss.IndexFlatL2` and the bare products, in one process, on generated embeddings.

Times are wall-clock seconds; sides take turns, the best of the turns counts. Memory is the growth of the peak resident
set, each in a process of its own. Run: `python benchmarks/search.py [--short]`; it takes about four minutes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
from documented_search import DIM, Items, make_embeddings
from memory import read_memory
from report import write_results

import oml.functional.search
from oml.functional.search import search
from oml.functional.search_product import PRODUCTS
from oml.metrics.of_results import calc_retrieval_metrics_rr
from oml.retrieval.retrieval_results import RetrievalResults

MIB = 2**20
MEMORY_CASES = {
    "60,500 x 384 against itself, k = 5": ("plain", None),
    "60,500 x 384 against itself, k = 5, max_memory = 200 MB": ("plain", 200 * 10**6),
    "2,000,000 x 128 memory-mapped, 1,000 queries, k = 10, max_memory = 200 MB": ("mapped", 200 * 10**6),
}


def multiply_all(name: str, x: torch.Tensor) -> None:
    """Compute all inner products of the rows of x in blocks, and keep none."""
    x = x if name == "numpy" else x.to(PRODUCTS[name].dtype)
    room = torch.empty(1024, 4096, dtype=x.dtype)
    for queries in x.split(1024):
        for galleries in x.split(4096):
            out = room.view(-1)[: len(queries) * len(galleries)].view(len(queries), len(galleries))
            if name == "numpy":
                np.matmul(queries.numpy(), galleries.numpy().T, out=out.numpy())
            else:
                PRODUCTS[name].multiply(queries, galleries, out)


def search_faiss(x: torch.Tensor, galleries: torch.Tensor, k: int) -> None:
    """Search by the flat index, as it is used: k + 1 answers, since each item finds itself."""
    index = faiss.IndexFlatL2(DIM)
    index.add(galleries.numpy())
    index.search(x.numpy(), k + 1)


def search_ours(x: torch.Tensor, galleries: torch.Tensor, k: int) -> None:
    """Search without finding oneself."""
    search(x, galleries, k, exclude=[(torch.arange(len(x)), torch.arange(len(galleries)))])


def take_turns(sides: dict[str, Callable[[], Any]], n_turns: int) -> dict[str, float]:
    """Give the best time of each side in seconds."""
    best = dict.fromkeys(sides, float("inf"))
    for _ in range(n_turns):
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - start)
    return {name: round(seconds, 3) for name, seconds in best.items()}


def compare(n: int, n_galleries: int, ks: list[int], n_turns: int) -> dict[str, Any]:
    """Compare ours with faiss for these k on the first `n` queries."""
    x = make_embeddings(max(n, n_galleries))
    queries, galleries = x[:n], x[:n_galleries]
    results = {}
    for k in ks:
        sides = {
            "faiss flat": lambda k=k: search_faiss(queries, galleries, k),
            "ours": lambda k=k: search_ours(queries, galleries, k),
        }
        times = take_turns(sides, n_turns)
        results[f"k = {k}"] = {**times, "ours / faiss": round(times["ours"] / times["faiss flat"], 2)}
        print(n, n_galleries, k, results[f"k = {k}"], flush=True)
    return results


def compare_with_products(n: int) -> dict[str, Any]:
    """
    Compare the whole work, each item searched among the others, with faiss and the bare products.

    Ours once more without bfloat16, as on processors without units for it.
    """
    x = make_embeddings(n)
    sides: dict[str, Callable[[], Any]] = {
        f"product: {name}": lambda name=name: multiply_all(name, x) for name in (*PRODUCTS, "numpy")
    }
    sides["faiss flat"] = lambda: search_faiss(x, x, 5)
    sides["ours"] = lambda: search_ours(x, x, 5)
    sides["ours, search and metrics"] = lambda: search_and_measure(x)
    sides["ours, float32 only"] = lambda: search_without_bfloat16(x)
    times = take_turns(sides, 1)
    fastest = min(seconds for name, seconds in times.items() if "product" in name and "bfloat16" not in name)
    ratios = {
        f"{name} / {of}": round(times[name] / seconds, 2)
        for name in ("ours", "ours, search and metrics", "ours, float32 only")
        for of, seconds in (("fastest float32 product", fastest), ("faiss", times["faiss flat"]))
    }
    print({**times, **ratios}, flush=True)
    return {**times, **ratios}


def search_and_measure(x: torch.Tensor) -> None:
    """Search, and measure CMC@1, CMC@5, precision@5 and MAP@5, labels given."""
    results = RetrievalResults.from_embeddings(x, Items(len(x)), n_items=5, verbose=False)
    calc_retrieval_metrics_rr(results, cmc_top_k=(1, 5), precision_top_k=(5,), map_top_k=(5,))


def search_without_bfloat16(x: torch.Tensor) -> None:
    """Search by the fastest product in float32."""
    original = oml.functional.search.get_products
    oml.functional.search.get_products = lambda *arguments: original(*arguments)[-1:]
    try:
        search_ours(x, x, 5)
    finally:
        oml.functional.search.get_products = original


def measure_memory(case: str, scale: float) -> dict[str, float]:
    """Give the seconds and the MiB above the inputs that a case takes; to be run in a process of its own."""
    kind, max_memory = MEMORY_CASES[case]
    with tempfile.TemporaryDirectory() as folder:
        if kind == "plain":
            queries = galleries = make_embeddings(int(60_500 * scale))
            k = 5
        else:
            n, k = int(2_000_000 * scale), 10
            mapped = np.memmap(Path(folder) / "galleries", dtype=np.float32, mode="w+", shape=(n, 128))
            generator = np.random.default_rng(0)
            for start in range(0, n, 2**16):
                mapped[start : start + 2**16] = generator.standard_normal((min(2**16, n - start), 128), np.float32)
            mapped.flush()
            del mapped
            galleries = np.memmap(Path(folder) / "galleries", dtype=np.float32, mode="r", shape=(n, 128))
            queries = torch.randn(1000, 128)
        search(torch.randn(8, 8), torch.randn(8, 8), 1)  # what is loaded at the first use is not counted
        torch.randn(512, 512) @ torch.randn(512, 512)
        before = read_memory("RssAnon")
        start = time.perf_counter()
        watcher = _PeakWatcher()
        search(queries, galleries, k, max_memory=max_memory)
        seconds = time.perf_counter() - start
        return {"seconds": round(seconds, 2), "MiB above inputs": round((watcher.stop() - before) / MIB, 1)}


class _PeakWatcher:
    """Looks every few milliseconds at the memory that is the process's own (pages of mapped files are not)."""

    def __init__(self) -> None:
        import threading

        self.peak, self.is_over = 0, threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()

    def _watch(self) -> None:
        while not self.is_over.wait(0.005):
            self.peak = max(self.peak, read_memory("RssAnon"))

    def stop(self) -> int:
        self.is_over.set()
        self.thread.join()
        return self.peak


def run_documented(pythons: dict[str, str], n: int) -> dict[str, Any]:
    """Run search and metrics by the documented calls in environments of their own, and tell whether they agree."""
    script = Path(__file__).with_name("documented_search.py")
    found = {}
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}  # each has its own package
    for name, python in pythons.items():
        command = [python, script, str(n)]
        shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        found[name] = json.loads(shown.splitlines()[-1])
        print(name, found[name], flush=True)
    return found


def run(is_short: bool, peer_python: str | None) -> dict[str, Any]:
    """Run all parts."""
    scale, turns = (0.1, 1) if is_short else (1.0, 2)
    results: dict[str, Any] = {"whole": compare_with_products(int(60_500 * scale)), "galleries": {}, "memory": {}}
    pythons = {"ours": sys.executable} | ({"Open Metric Learning": peer_python} if peer_python else {})
    results["documented calls"] = run_documented(pythons, int(60_500 * scale))
    for n_galleries in (5_900, 14_000, 60_500):
        n = min(n_galleries, 6_000)
        found = compare(int(n * scale), int(n_galleries * scale), [1, 10, 50, 100], turns)
        results["galleries"][f"{n} queries, {n_galleries} galleries"] = found
    for case in MEMORY_CASES:
        command = [sys.executable, __file__, "--memory", case, "--scale", str(scale)]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        results["memory"][case] = json.loads(found)
        print(case, results["memory"][case], flush=True)
    return results


def main() -> None:
    """Read the command line, measure, write the results unless the run is short."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a tenth of the sizes; writes nothing")
    parser.add_argument("--peer-python", help="of an environment with Open Metric Learning, to run that beside")
    parser.add_argument("--memory", choices=MEMORY_CASES, help="measure one case of memory and print it")
    parser.add_argument("--scale", type=float, default=1.0)
    arguments = parser.parse_args()
    if arguments.memory:
        print(json.dumps(measure_memory(arguments.memory, arguments.scale)))
        return
    results = run(arguments.short, arguments.peer_python)
    if not arguments.short:
        print(write_results("search", results))


if __name__ == "__main__":
    main()

"""
The time of CMC, precision and MAP at three cut-offs from known hits, beside ranx and pytorch-metric-learning.

All sides get answers that are found already, in the form they like best, and give values per query (pytorch-metric-
learning: means, of its own metrics, with the search taken out). Sides alternate. Run: python benchmarks/metrics.py
"""

import argparse
import warnings
from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np
import torch
from report import write_results

from oml.functional.metrics import Hits, calc_metrics_of_hits
from oml.functional.metrics.confidence import calc_bootstrap_interval, calc_sign_flip_p_value

CUT_OFFS = {"1, 5, 10": (1, 5, 10), "1, 10, 100": (1, 10, 100)}
N_CATEGORIES = 12


def make_ours(hits: Hits) -> dict[str, Callable[[], object]]:
    def calc(top_k: tuple[int, ...], categories: list[int] | None) -> object:
        fresh = Hits(hits.is_hit, hits.lengths, hits.n_gts)  # nothing kept from the last time
        return calc_metrics_of_hits(fresh, categories, top_k, top_k, top_k, reduce=False)

    categories = [i % N_CATEGORIES for i in range(len(hits.lengths))]
    sides = {f"oml, {name}": lambda k=top_k: calc(k, None) for name, top_k in CUT_OFFS.items()}
    of_categories = {
        f"oml, {name}, {N_CATEGORIES} categories": lambda k=top_k: calc(k, categories)
        for name, top_k in CUT_OFFS.items()
    }
    return sides | of_categories


def make_ranx(hits: Hits) -> dict[str, Callable[[], object]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import numba
        from ranx import metrics

        n_answers = hits.is_hit.shape[1]
        galleries = np.arange(float(n_answers))
        run = np.stack([galleries, n_answers - galleries], axis=1)
        runs = numba.typed.List([run] * len(hits.lengths))
        qrels = numba.typed.List(
            [np.stack([g := np.flatnonzero(row).astype(float), np.ones(len(g))], axis=1) for row in hits.is_hit.numpy()]
        )

    def calc(top_k: tuple[int, ...]) -> object:
        functions = (metrics.hit_rate, metrics.precision, metrics.average_precision)
        return [function(qrels, runs, k) for function in functions for k in top_k]

    return {f"ranx, {name}": lambda k=top_k: calc(k) for name, top_k in CUT_OFFS.items()}


def make_pytorch_metric_learning(hits: Hits) -> dict[str, Callable[[], object]]:
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    n_queries, n_answers = hits.is_hit.shape
    # two galleries: one of label 1, which all queries have, and one of label 0
    calculator = AccuracyCalculator(
        include=("precision_at_1", "mean_average_precision"),
        k=n_answers,
        knn_func=lambda *_: (None, hits.is_hit.long()),
        device=torch.device("cpu"),
    )
    vectors, labels = torch.zeros(n_queries, 1), torch.ones(n_queries, dtype=torch.int64)
    side = "pytorch-metric-learning, precision_at_1 and mean_average_precision"
    return {side: lambda: calculator.get_accuracy(vectors, labels, torch.zeros(2, 1), torch.tensor([0, 1]))}


def make_confidence(hits: Hits) -> dict[str, Callable[[], object]]:
    values = hits.is_hit[:, :9].double().numpy()
    differences, sizes = values[:, 0] - values[:, 1], np.ones(len(values))
    return {
        "oml, intervals of 9 metrics, 1000 draws": lambda: calc_bootstrap_interval(
            values, sizes, 1000, np.random.default_rng(0)
        ),
        "oml, p-value, 9999 signs": lambda: calc_sign_flip_p_value(differences, 9999, np.random.default_rng(0)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=60_500)
    parser.add_argument("--answers", type=int, default=100)
    parser.add_argument("--share", type=float, default=0.04, help="of the answers that are relevant")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    shape = (arguments.queries, arguments.answers)
    is_hit = torch.rand(shape, generator=torch.Generator().manual_seed(0)) < arguments.share
    is_hit[:, -1] = True  # peers refuse queries with nothing relevant
    hits = Hits(is_hit, torch.full(shape[:1], shape[1]), is_hit.sum(1))
    sides = make_ours(hits) | make_ranx(hits) | make_pytorch_metric_learning(hits) | make_confidence(hits)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(arguments.rounds + 1):  # the first round warms up: ranx compiles
        for name, calc in sides.items():
            start = perf_counter()
            calc()
            seconds[name].append(perf_counter() - start)
    results: dict[str, object] = {
        name: {"median_ms": round(1000 * median(times[1:]), 2), "lowest_ms": round(1000 * min(times[1:]), 2)}
        for name, times in seconds.items()
    }
    for name, result in results.items():
        print(name, result)
    print(write_results("metrics", {"queries": shape[0], "answers": shape[1], "share": arguments.share, **results}))


if __name__ == "__main__":
    main()

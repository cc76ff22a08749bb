"""
A step of classifier losses, forward and backward on given features, beside pytorch-metric-learning's.

The yardstick are the three matrix products that any of them must do: the logits, and the gradients of the features and
of the weight; for K centres of a class those with all centres. All sides take turns, so that each sees the machine in
the same state. Memory is the peak of the process over what it held before the step, in a process of its own (Linux).

    python benchmarks/classifiers.py --classes 10000  # two minutes on two cores
    python benchmarks/classifiers.py --classes 100000  # four minutes
    python benchmarks/classifiers.py --classes 100000 --centres  # losses with several centres of a class, two minutes
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from memory import read_peak_memory, reset_peak_memory
from report import write_results
from torch import Tensor, nn

from oml.losses import (
    ArcFaceLoss,
    CosFaceLoss,
    NormalisedSoftmaxLoss,
    ProxyAnchorLoss,
    ProxyNCALoss,
    SoftTripleLoss,
    SubCenterArcFaceLoss,
)

N_FEATURES, N_CENTRES = 384, 3
BATCHES = (128, 256)
LIMIT = 1.35  # how many times that of the products alone a step may take
MARGIN, SCALE = 0.5, 64
TSides = dict[str, Callable[[Tensor, Tensor], Tensor]]


class UnfusedArcFace(nn.Module):
    """The formula as it is usually written, by autograd: what the fusion saves."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        cosines = nn.functional.linear(nn.functional.normalize(features), nn.functional.normalize(self.weight))
        own = cosines.gather(1, labels[:, None])
        with_margin = torch.cos(torch.acos(own.clamp(-1 + 1e-7, 1 - 1e-7)) + MARGIN)
        with_margin = torch.where(own > -math.cos(MARGIN), with_margin, own - MARGIN * math.sin(MARGIN))
        return nn.functional.cross_entropy(SCALE * cosines.scatter(1, labels[:, None], with_margin), labels)


class Products:
    """The products alone; the logits stand for their own gradient."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight

    def __call__(self, features: Tensor, labels: Tensor) -> Tensor:
        logits = features @ self.weight.T
        return (logits @ self.weight).sum() + (logits.T @ features)[0, 0]


def make_side(name: str, weight: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    sizes = (N_FEATURES, len(weight))
    ours = {
        "ArcFace": lambda: ArcFaceLoss(*sizes, m=MARGIN, s=SCALE),
        "ArcFace, smooth": lambda: ArcFaceLoss(*sizes, m=MARGIN, s=SCALE, smoothing_epsilon=0.1),
        "CosFace": lambda: CosFaceLoss(*sizes, m=MARGIN, s=SCALE),
        "normalised softmax": lambda: NormalisedSoftmaxLoss(*sizes),
        "Proxy-NCA++": lambda: ProxyNCALoss(*sizes, temperature=0.1),
        "Proxy-Anchor": lambda: ProxyAnchorLoss(*sizes),
        "sub-center ArcFace": lambda: SubCenterArcFaceLoss(*sizes, N_CENTRES, MARGIN, SCALE),
        "SoftTriple": lambda: SoftTripleLoss(*sizes, N_CENTRES),
        "SoftTriple, tau=0": lambda: SoftTripleLoss(*sizes, N_CENTRES, tau=0),
    }
    if name.startswith(ALONE):
        return Products(weight.flatten(0, -2))
    if name == "ArcFace, unfused":
        return UnfusedArcFace(weight)
    if name in ours:
        criterion = ours[name]()
        criterion.weight.data = weight
        return criterion
    return make_peer(name.removesuffix(", pml"), weight)


def make_peer(name: str, weight: Tensor) -> nn.Module:
    from pytorch_metric_learning import losses

    sizes = {"num_classes": len(weight), "embedding_size": N_FEATURES}
    criterion = {
        "ArcFace": lambda: losses.ArcFaceLoss(**sizes, margin=math.degrees(MARGIN), scale=SCALE),
        "CosFace": lambda: losses.CosFaceLoss(**sizes, margin=MARGIN, scale=SCALE),
        "normalised softmax": lambda: losses.NormalizedSoftmaxLoss(**sizes),
        "Proxy-NCA++": lambda: losses.ProxyNCALoss(**sizes, softmax_scale=10),
        "Proxy-Anchor": lambda: losses.ProxyAnchorLoss(**sizes),
    }[name]()
    (parameter,) = criterion.parameters()
    parameter.data = weight if parameter.shape == weight.shape else weight.T.contiguous()
    return criterion


ALONE = "products alone"
ALONE_OF_CENTRES = f"{ALONE}, {N_CENTRES} centres"
WITH_PEER = ("ArcFace", "CosFace", "normalised softmax", "Proxy-NCA++", "Proxy-Anchor")
OF_CENTRES = ("sub-center ArcFace", "SoftTriple", "SoftTriple, tau=0")
NAMES = [ALONE, *WITH_PEER, "ArcFace, smooth", "ArcFace, unfused"] + [f"{n}, pml" for n in WITH_PEER]


def make_batch(name: str, n_items: int, n_classes: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(n_items, N_FEATURES, generator=generator)
    labels = torch.randint(n_classes, (n_items,), generator=generator)
    centres = (N_CENTRES,) if name in (ALONE_OF_CENTRES, *OF_CENTRES) else ()
    return features, 0.01 * torch.randn(n_classes, *centres, N_FEATURES, generator=generator), labels


def step(side: Callable[[Tensor, Tensor], Tensor], features: Tensor, labels: Tensor) -> float:
    if isinstance(side, Products):
        return side(features, labels).item()
    loss = side(features.detach().requires_grad_(), labels)
    loss.backward()
    side.zero_grad(set_to_none=True)  # few gradients are in memory at a time
    return loss.item()


def measure_times(
    names: list[str], n_items: int, n_classes: int, rounds: int
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Give the milliseconds of a step, best and median over the rounds, and the losses."""
    features, weight, labels = make_batch(names[0], n_items, n_classes)
    sides = {name: make_side(name, weight) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    losses: dict[str, float] = {}
    for round_ in range(rounds + 1):
        for name, side in sides.items():
            start = time.perf_counter()
            losses[name] = step(side, features, labels)
            if round_:
                seconds[name].append(time.perf_counter() - start)
    times = {
        name: {"best": round(1e3 * min(s), 2), "median": round(1e3 * statistics.median(s), 2)}
        for name, s in seconds.items()
    }
    return times, losses


def check_agreement(losses: dict[str, float]) -> None:
    pairs = [(name, f"{name}, pml") for name in WITH_PEER] + [("ArcFace", "ArcFace, unfused")]
    for ours, theirs in pairs:
        if ours in losses and theirs in losses and abs(losses[ours] - losses[theirs]) > 1e-4 * abs(losses[ours]):
            raise SystemExit(f"{ours} and {theirs} differ: {losses[ours]} and {losses[theirs]}")


def measure_memory(name: str, n_items: int, n_classes: int) -> float:
    """Give by how many MB one step lifts the peak of this process, gradients included."""
    features, weight, labels = make_batch(name, 8, 16)
    step(make_side(name, weight), features, labels)
    features, weight, labels = make_batch(name, n_items, n_classes)
    side = make_side(name, weight)
    del weight
    before = reset_peak_memory()
    step(side, features, labels)
    return round((read_peak_memory() - before) / 2**20, 1)


def run_memory(name: str, n_items: int, n_classes: int) -> float:
    command = [
        sys.executable,
        __file__,
        "--threads",
        str(torch.get_num_threads()),
        "--memory-of",
        name,
        str(n_items),
        str(n_classes),
    ]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compare(names: list[str], n_items: int, n_classes: int, rounds: int) -> dict[str, object]:
    """Give all about some sides; the first of them are the products alone."""
    times, losses = measure_times(names, n_items, n_classes, rounds)
    check_agreement(losses)
    n_rows = n_classes * (N_CENTRES if names[0] == ALONE_OF_CENTRES else 1)
    ratios = {
        name: {kind: round(t[kind] / times[names[0]][kind], 3) for kind in t}
        for name, t in times.items()
        if name != names[0]
    }
    with ThreadPoolExecutor(2) as pool:
        memory = dict(zip(names, pool.map(lambda name: run_memory(name, n_items, n_classes), names), strict=True))
    return {
        "step_ms": times,
        "by_products_alone": ratios,
        "above_limit": [n for n, r in ratios.items() if r["best"] > LIMIT and "pml" not in n and "unfused" not in n],
        "peak_memory_mb": memory,
        "loss": losses,
        "logits_and_gradient_of_weight_mb": round(4 * n_rows * (n_items + N_FEATURES) / 2**20, 1),
    }


def measure(n_classes: int, rounds: int, only_centres: bool) -> dict[str, object]:
    """Give all about all sides, or about those with several centres."""
    results: dict[str, object] = {"limit": LIMIT, "load_average_at_start": os.getloadavg()[0]}
    for n_items in BATCHES:
        for names in (NAMES, [ALONE_OF_CENTRES, *OF_CENTRES]):
            if only_centres if names is NAMES else n_classes > 10_000 and not only_centres:
                continue
            key = f"B={n_items}, C={n_classes}, D={N_FEATURES}"
            key += "" if names is NAMES else f", {N_CENTRES} centres of a class"
            results[key] = compare(names, n_items, n_classes, rounds)
            print(key, json.dumps(results[key], indent=1), flush=True)
    return {**results, "load_average_at_end": os.getloadavg()[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--centres", action="store_true", help="only those, in a results file of their own")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--memory-of", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.memory_of:
        name, n_items, n_classes = args.memory_of
        print(measure_memory(name, int(n_items), int(n_classes)))
        return

    for n_classes in args.classes:
        name = f"classifiers_{n_classes}" + ("_centres" if args.centres else "")
        print(write_results(name, measure(n_classes, args.rounds, args.centres)))


if __name__ == "__main__":
    main()

"""
A step of classifier losses, forward and backward on given features, beside pytorch-metric-learning's.

The yardstick are the three matrix products that any of them must do: the logits, and the gradients of the features and
of the weight. Memory is the peak of the process over what it held before the step, in a process of its own (Linux).
Run: python benchmarks/classifiers.py
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
from pathlib import Path

import torch
from report import write_results
from torch import Tensor, nn

from oml.losses import ArcFaceLoss, CosFaceLoss, NormalisedSoftmaxLoss, ProxyAnchorLoss, ProxyNCALoss

N_FEATURES = 384
SIZES = [(128, 10_000), (256, 10_000), (128, 100_000)]  # items, classes
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
    }
    if name == "products alone":
        return Products(weight)
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


WITH_PEER = ("ArcFace", "CosFace", "normalised softmax", "Proxy-NCA++", "Proxy-Anchor")
NAMES = ["products alone", "ArcFace, smooth", "ArcFace, unfused"] + [
    n + end for n in WITH_PEER for end in ("", ", pml")
]


def make_batch(n_items: int, n_classes: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(n_items, N_FEATURES, generator=generator)
    weight = 0.01 * torch.randn(n_classes, N_FEATURES, generator=generator)
    return features, weight, torch.randint(n_classes, (n_items,), generator=generator)


def step(side: Callable[[Tensor, Tensor], Tensor], features: Tensor, labels: Tensor) -> float:
    if isinstance(side, Products):
        return side(features, labels).item()
    side.zero_grad(set_to_none=True)
    loss = side(features.detach().requires_grad_(), labels)
    loss.backward()
    return loss.item()


def measure_times(
    names: list[str], n_items: int, n_classes: int, rounds: int
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Give the milliseconds of a step, best and median over the rounds, and the losses."""
    features, weight, labels = make_batch(n_items, n_classes)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    losses: dict[str, float] = {}
    # side by side with the products, so that both see the machine in the same state; few hold their weight at a time
    for name in names[1:]:
        sides = {n: make_side(n, weight.clone()) for n in (names[0], name)}
        for round_ in range(rounds + 1):
            for n, side in sides.items():
                start = time.perf_counter()
                losses[n] = step(side, features, labels)
                if round_:
                    seconds[n].append(time.perf_counter() - start)
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
    step(make_side(name, make_batch(8, 16)[1]), *make_batch(8, 16)[::2])
    features, weight, labels = make_batch(n_items, n_classes)
    side = make_side(name, weight)
    del weight
    Path("/proc/self/clear_refs").write_text("5")  # the peak becomes the present size
    before = read_peak_mb()
    step(side, features, labels)
    return round(read_peak_mb() - before, 1)


def read_peak_mb() -> float:
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", default="", help="losses whose names begin so, beside the products")
    parser.add_argument("--memory-of", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.memory_of:
        name, n_items, n_classes = args.memory_of
        print(measure_memory(name, int(n_items), int(n_classes)))
        return

    names = NAMES[:1] + [name for name in NAMES[1:] if name.startswith(args.only)]
    results: dict[str, object] = {"load_average_at_start": os.getloadavg()[0]}
    for n_items, n_classes in SIZES:
        times, losses = measure_times(names, n_items, n_classes, args.rounds)
        check_agreement(losses)
        alone = times["products alone"]["best"]
        result = {
            "step_ms": times,
            "best_by_products_alone": {name: round(t["best"] / alone, 3) for name, t in times.items()},
            "peak_memory_mb": {name: run_memory(name, n_items, n_classes) for name in names},
            "loss": losses,
            "logits_and_gradient_of_weight_mb": round(4 * n_classes * (n_items + N_FEATURES) / 2**20, 1),
        }
        results[f"B={n_items}, C={n_classes}, D={N_FEATURES}"] = result
        print(n_items, n_classes, json.dumps(result, indent=1))
    results["load_average_at_end"] = os.getloadavg()[0]
    print(write_results("classifiers", results))


if __name__ == "__main__":
    main()

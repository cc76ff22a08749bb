"""`oml demo`: the whole way from a table of pictures to metrics and figures, on data that needs no download."""

import argparse
import json
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oml.datasets import ImageLabeledDataset, ImageQueryGalleryLabeledDataset
    from oml.interfaces.models import IExtractor
    from oml.retrieval import RetrievalResults

METRICS = ("cmc@1", "map@5", "map@r")
N_LABELS, N_INSTANCES = 32, 8
LEARNING_RATE = 3e-3
MARGIN = 0.2
N_ROWS = 8  # queries in a figure


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be chosen."""
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder of the results (%(default)s)")
    parser.add_argument("--epochs", type=int, default=16, help="passes over the training labels (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the batches (%(default)s)")
    parser.add_argument("--sequence", action="store_true", help="harder: only other font families count as answers")
    parser.add_argument("--workers", type=int, default=1, help="processes that read pictures (%(default)s)")
    parser.add_argument("--dataset-root", type=Path, help="folder of the data set (in the cache folder)")


def run(arguments: argparse.Namespace) -> int:
    """Train, validate before and after, and write metrics, figures and weights."""
    import numpy as np
    import torch

    from oml import datasets
    from oml.const import GLYPHS_DATASET_PATH
    from oml.errors import check
    from oml.metrics import evaluate
    from oml.models import ConvExtractor
    from oml.transforms.images.torchvision import get_normalisation_torch
    from oml.utils import get_glyphs_dataset
    from oml.utils.io import atomic_path, open_sink

    check(arguments.epochs > 0, f"--epochs must be positive, got {arguments.epochs}.")
    check(arguments.workers >= 0, f"--workers must not be negative, got {arguments.workers}.")
    arguments.out.mkdir(parents=True, exist_ok=True)  # a place that cannot be written shows now, not after training
    started = perf_counter()
    print("Reading the glyphs; the first time they are drawn, which takes some seconds.")
    root = arguments.dataset_root or GLYPHS_DATASET_PATH
    df_name = "df_with_sequence.csv" if arguments.sequence else "df.csv"
    df_train, df_val = get_glyphs_dataset(root, df_name=df_name)
    transform = get_normalisation_torch()
    train = datasets.ImageLabeledDataset(df_train, dataset_root=root, transform=transform)
    val = datasets.ImageQueryGalleryLabeledDataset(df_val, dataset_root=root, transform=transform)
    seconds = {"data": perf_counter() - started}

    torch.manual_seed(arguments.seed)
    extractor = ConvExtractor(im_size=32)

    def timed(name: str, fn: Any, *args: Any) -> Any:
        began = perf_counter()
        answer = fn(*args)
        seconds[name] = perf_counter() - began
        return answer

    before, _ = timed("validation before", validate, extractor, val, arguments.workers)
    timed("training", train_extractor, extractor, train, arguments)
    after, rr = timed("validation after", validate, extractor, val, arguments.workers)

    worst = torch.argsort(evaluate(rr, ["map@r"], reduce=False)["map@r"], stable=True)[:N_ROWS].tolist()
    n_queries = len(val.get_query_ids())
    random = np.random.default_rng(arguments.seed).choice(n_queries, min(N_ROWS, n_queries), replace=False).tolist()
    for name, query_ids in (("worst", worst), ("random", random)):
        with atomic_path(arguments.out / f"{name}_queries.png") as path:
            rr.visualize(query_ids, dataset=val).savefig(path)
    with atomic_path(arguments.out / "extractor.ckpt") as path, open_sink(path) as file:
        torch.save({"state_dict": extractor.state_dict()}, file)
    seconds["all"] = perf_counter() - started
    report = {"data": {"train": len(train), "validation": len(val)}, "before": before, "after": after}
    with atomic_path(arguments.out / "metrics.json") as path:
        path.write_text(json.dumps({**report, "seconds": seconds, "seed": arguments.seed}, indent=2) + "\n")
    print_report(report, seconds, arguments.out)
    return 0


def train_extractor(extractor: "IExtractor", train: "ImageLabeledDataset", arguments: argparse.Namespace) -> None:
    """Train on batches of a few labels, each with its hardest triplets."""
    import torch
    from torch.utils.data import DataLoader
    from tqdm import tqdm

    from oml.losses import TripletLossWithMiner
    from oml.miners import HardTripletsMiner
    from oml.samplers import BalanceSampler

    sampler = BalanceSampler(train.get_labels(), N_LABELS, N_INSTANCES, seed=arguments.seed)
    loader = DataLoader(
        train, batch_sampler=sampler, num_workers=arguments.workers, persistent_workers=arguments.workers > 0
    )
    n_steps = arguments.epochs * len(loader)
    criterion = TripletLossWithMiner(MARGIN, HardTripletsMiner(), need_logs=True)
    optimizer = torch.optim.AdamW(extractor.parameters(), lr=LEARNING_RATE)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=n_steps)
    extractor.train()
    with tqdm(total=n_steps, desc="training", unit="batch") as bar:
        for _ in range(arguments.epochs):
            for batch in loader:
                loss = criterion(extractor(batch["input_tensors"]), batch["labels"])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                scheduler.step()
                bar.set_postfix(criterion.last_logs, refresh=False)
                bar.update()


def validate(
    extractor: "IExtractor", val: "ImageQueryGalleryLabeledDataset", workers: int
) -> tuple[dict[str, float], "RetrievalResults"]:
    """Give the metrics on the validation set and the retrieval results behind them."""
    from oml.inference import inference
    from oml.metrics import evaluate
    from oml.retrieval import RetrievalResults

    embeddings = inference(extractor, val, batch_size=512, num_workers=workers, verbose=True)
    rr = RetrievalResults.from_embeddings(embeddings, val, n_items=100)
    metrics = evaluate(rr, metrics=METRICS)
    return {name: float(metrics[name]) for name in METRICS}, rr


def print_report(report: dict[str, Any], seconds: dict[str, float], out: Path) -> None:
    """Print a table of the metrics and where to look next."""
    print(f"\n{report['data']['validation']} queries, letters that were not seen in training:")
    print(f"{'':<10}{'before':>8}{'after':>8}")
    for name in METRICS:
        print(f"{name.upper():<10}{report['before'][name]:>8.3f}{report['after'][name]:>8.3f}")
    print("\nSeconds: " + ", ".join(f"{name} {value:.0f}" for name, value in seconds.items()))
    print(f"Look at {out}: worst_queries.png, random_queries.png, metrics.json, extractor.ckpt.")

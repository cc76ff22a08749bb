"""
Items per second of `ImageLabeledDataset` beside a hand-written minimal dataset that decodes and transforms the same.

Both go through a DataLoader, in turns within one run. Also what decoding a fraction of a photo's pixels gives.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from benchmarks.report import write_results
from oml.datasets import ImageLabeledDataset
from oml.transforms.images.torchvision import get_normalisation_resize_torch, get_normalisation_torch
from oml.utils.images.images import imread_pillow

ROUNDS = 9


class Minimal(Dataset):
    """What one would write by hand."""

    def __init__(self, paths: list[str], labels: list[int], transform: Any):
        self.paths, self.labels, self.transform = paths, labels, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, item: int) -> dict[str, Any]:
        image = Image.open(self.paths[item]).convert("RGB")
        return {"input_tensors": self.transform(image), "labels": self.labels[item], "idx": item}


def draw(folder: Path, n: int, size: tuple[int, int], extension: str) -> list[str]:
    """Write smooth random pictures."""
    rng = np.random.default_rng(0)
    names = [f"{i}.{extension}" for i in range(n)]
    for name in names:
        coarse = rng.integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize(size).save(folder / name)
    return names


def time_loader(dataset: Dataset, n_workers: int) -> float:
    """Give the items per second of one pass."""
    loader = DataLoader(dataset, batch_size=64, num_workers=n_workers)
    started = perf_counter()
    n = sum(len(batch["labels"]) for batch in loader)
    return n / (perf_counter() - started)


def compare(ours: Dataset, other: Dataset, n_workers: int, rounds: int) -> dict[str, float]:
    """Measure both in turns and give the middle values and the middle of the quotients of neighbours."""
    pairs = []
    for i in range(rounds + 1):
        sides = (ours, other) if i % 2 else (other, ours)
        speeds = [time_loader(dataset, n_workers) for dataset in sides]
        pairs.append(speeds if i % 2 else speeds[::-1])
    pairs = pairs[1:]  # the first one warms up
    return {
        "ours_items_per_s": round(statistics.median(a for a, _ in pairs), 1),
        "minimal_items_per_s": round(statistics.median(b for _, b in pairs), 1),
        "quotient": round(statistics.median(a / b for a, b in pairs), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    sets = {
        "small pictures, 32 x 32 png": (3000, (32, 32), "png", get_normalisation_torch(), rounds),
        "pictures of 500 x 375 jpg, resized to 224": (150, (500, 375), "jpg", get_normalisation_resize_torch(224), 5),
        "photos of 3000 x 2000 jpg, resized to 224": (8, (3000, 2000), "jpg", get_normalisation_resize_torch(224), 3),
    }
    results: dict[str, Any] = {}
    for name, (n, size, extension, transform, n_rounds) in sets.items():
        with tempfile.TemporaryDirectory() as folder:
            names = draw(Path(folder), n, size, extension)
            df = pd.DataFrame({"path": names, "label": np.arange(n) % 10})
            minimal = Minimal([f"{folder}/{p}" for p in names], df["label"].tolist(), transform)
            ours = ImageLabeledDataset(df, dataset_root=folder, transform=transform)
            whole = ImageLabeledDataset(df, dataset_root=folder, transform=transform, f_imread=imread_pillow)
            for n_workers in (0, 1) if n > 1000 else (0,):
                results[f"{name}, {n_workers} workers"] = compare(ours, minimal, n_workers, n_rounds)
            if size[0] > 1000:
                results[f"{name}, all pixels decoded"] = compare(whole, minimal, 0, n_rounds)
    for name, numbers in results.items():
        print(f"{name}: {numbers}")
    print(write_results("datasets", results))


if __name__ == "__main__":
    main()

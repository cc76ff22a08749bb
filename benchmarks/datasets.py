"""
Items per second of datasets of pictures and of sounds beside hand-written minimal ones that decode and transform alike.

Both go through a DataLoader, in turns within one run. The minimal ones have only the lines that their case needs, no
checks and no names in errors. Where a photo becomes small ours decodes a fraction of its pixels, and where a sound is
longer than its window only the window; the minimal ones do neither, as one does without care.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import soundfile
import soxr
import torch
from PIL import Image
from torch.nn.functional import pad
from torch.utils.data import DataLoader, Dataset

from benchmarks.report import write_results
from oml.datasets import AudioLabeledDataset, ImageLabeledDataset
from oml.transforms.images.torchvision import get_normalisation_resize_torch, get_normalisation_torch
from oml.utils.images.images import imread_pillow

RATE, SECONDS = 16000, 3
ROUNDS = 9


class Minimal(Dataset):
    """What one would write by hand."""

    def __init__(self, df: pd.DataFrame, read: Callable[[str], torch.Tensor]):
        self.paths, self.labels, self.read = df["path"].tolist(), df["label"].tolist(), read

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, item: int) -> dict[str, Any]:
        return {"input_tensors": self.read(self.paths[item]), "labels": self.labels[item], "idx": item}


def read_picture(path: str, transform: Callable[[Image.Image], torch.Tensor]) -> torch.Tensor:
    """Read a picture as one does by hand."""
    return transform(Image.open(path).convert("RGB"))


def read_sound(path: str, start: float) -> torch.Tensor:
    """Read a sound as one does by hand."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    if samples.shape[1] > 1:
        samples = samples.mean(axis=1, keepdims=True)
    if rate != RATE:
        samples = soxr.resample(samples, rate, RATE)
    n = RATE * SECONDS
    if len(samples) > n:
        samples = samples[int(start * RATE) :][:n]
    audio = torch.from_numpy(np.ascontiguousarray(samples.T))
    return pad(audio, (n - audio.shape[1], 0))


def draw(folder: Path, n: int, size: tuple[int, int], extension: str) -> pd.DataFrame:
    """Write smooth random pictures."""
    rng = np.random.default_rng(0)
    paths = [f"{folder}/{i}.{extension}" for i in range(n)]
    for path in paths:
        coarse = rng.integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize(size).save(path)
    return pd.DataFrame({"path": paths, "label": np.arange(n) % 10})


def sound(folder: Path, extension: str, rate: int, channels: int, seconds: float, start: float) -> pd.DataFrame:
    """Write noise; each file stands for ten items."""
    rng = np.random.default_rng(0)
    paths = [f"{folder}/{i}.{extension}" for i in range(60)]
    for path in paths:
        noise = np.cumsum(rng.normal(size=(int(rate * seconds), channels)), axis=0)
        soundfile.write(path, 0.5 * noise / np.abs(noise).max(), rate)
    return pd.DataFrame({"path": paths * 10, "label": np.arange(600) // 4, "start_time": start})


def time_loader(dataset: Dataset, n_workers: int) -> float:
    """Give the items per second of one pass; the start of processes does not count."""
    loader = iter(DataLoader(dataset, batch_size=20, num_workers=n_workers))
    if n_workers:
        next(loader)
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


def compare_pictures(rounds: int) -> dict[str, Any]:
    """Give the results for pictures."""
    sets = {
        "small pictures, 32 x 32 png": (3000, (32, 32), "png", get_normalisation_torch(), rounds),
        "pictures of 500 x 375 jpg, resized to 224": (150, (500, 375), "jpg", get_normalisation_resize_torch(224), 5),
        "photos of 3000 x 2000 jpg, resized to 224": (8, (3000, 2000), "jpg", get_normalisation_resize_torch(224), 5),
    }
    results: dict[str, Any] = {}
    for name, (n, size, extension, transform, n_rounds) in sets.items():
        with tempfile.TemporaryDirectory() as folder:
            df = draw(Path(folder), n, size, extension)
            minimal = Minimal(df, lambda path, transform=transform: read_picture(path, transform))  # type: ignore[misc]
            ours = ImageLabeledDataset(df, transform=transform)
            for n_workers in (0, 1) if n > 1000 else (0,):
                results[f"{name}, {n_workers} workers"] = compare(ours, minimal, n_workers, n_rounds)
            if size[0] > 1000:
                whole = ImageLabeledDataset(df, transform=transform, f_imread=imread_pillow)
                results[f"{name}, all pixels decoded"] = compare(whole, minimal, 0, n_rounds)
    return results


def compare_sounds(rounds: int) -> dict[str, Any]:
    """Give the results for sounds, all of which become 3 seconds at 16 kHz; one process reads."""
    sets = {  # extension, rate, channels, seconds, start time
        "wav, 16 kHz, 3 s": ("wav", 16000, 1, 3.0, 0.0),
        "wav, 16 kHz, 2 s (padded)": ("wav", 16000, 1, 2.0, 0.0),
        "flac, 44.1 kHz stereo, 3 s": ("flac", 44100, 2, 3.0, 0.0),
        "flac, 16 kHz, 30 s, from 20 s on": ("flac", 16000, 1, 30.0, 20.0),
    }
    results: dict[str, Any] = {}
    for name, case in sets.items():
        with tempfile.TemporaryDirectory() as folder:
            df = sound(Path(folder), *case)
            ours = AudioLabeledDataset(df)
            minimal = Minimal(df, lambda path, start=case[-1]: read_sound(path, start))  # type: ignore[misc]
            for i in range(0, len(df), 50):
                torch.testing.assert_close(ours[i]["input_tensors"], minimal[i]["input_tensors"], rtol=0, atol=1e-5)
            results[name] = compare(ours, minimal, 1, rounds)
    return results


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    results = {"pictures": compare_pictures(rounds), "sounds": compare_sounds(rounds)}
    for kind, cases in results.items():
        for name, numbers in cases.items():
            print(f"{kind}, {name}: {numbers}")
    print(write_results("datasets", results))


if __name__ == "__main__":
    main()

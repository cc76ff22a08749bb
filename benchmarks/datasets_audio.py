"""
Items per second of `AudioLabeledDataset` through a DataLoader, beside a minimal dataset written by hand.

The minimal one has only the lines that its case needs, no checks and no names in errors. Where files are as long as the
window both decode the same; where they are longer, the minimal one reads the whole file, as one does without care.
Both run in turns, one loader process each. Run: python benchmarks/datasets_audio.py
"""

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import pandas as pd
import soundfile
import soxr
import torch
from report import write_results
from torch.nn.functional import pad
from torch.utils.data import DataLoader, Dataset

from oml.datasets import AudioLabeledDataset

RATE, SECONDS = 16000, 3
N_FILES, N_ITEMS, N_ROUNDS = 60, 600, 7
CASES = {  # extension, rate, channels, seconds, start time
    "wav, 16 kHz, 3 s": ("wav", 16000, 1, 3.0, 0.0),
    "wav, 16 kHz, 2 s (padded)": ("wav", 16000, 1, 2.0, 0.0),
    "flac, 44.1 kHz stereo, 3 s": ("flac", 44100, 2, 3.0, 0.0),
    "flac, 16 kHz, 30 s, from 20 s on": ("flac", 16000, 1, 30.0, 20.0),
}


class Minimal(Dataset):
    def __init__(self, df: pd.DataFrame):
        self.paths, self.labels, self.start_times = df["path"].tolist(), df["label"].to_numpy(), df["start_time"]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> dict[str, object]:
        samples, rate = soundfile.read(self.paths[i], dtype="float32", always_2d=True)
        if samples.shape[1] > 1:
            samples = samples.mean(axis=1, keepdims=True)
        if rate != RATE:
            samples = soxr.resample(samples, rate, RATE)
        n = RATE * SECONDS
        if len(samples) > n:
            start = int(self.start_times[i] * RATE)
            samples = samples[start : start + n]
        audio = torch.from_numpy(np.ascontiguousarray(samples.T))
        return {"input_tensors": pad(audio, (n - audio.shape[1], 0)), "labels": self.labels[i], "idx": i}


def measure(dataset: Dataset) -> float:
    """Give items per second of one pass."""
    loader = iter(DataLoader(dataset, batch_size=20, num_workers=1))
    next(loader)  # the start of the process does not count
    began = perf_counter()
    n = sum(len(batch["labels"]) for batch in loader)
    return n / (perf_counter() - began)


def write_case(folder: Path, extension: str, rate: int, channels: int, seconds: float, start: float) -> pd.DataFrame:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(N_FILES):
        noise = np.cumsum(rng.normal(size=(int(rate * seconds), channels)), axis=0)
        soundfile.write(folder / f"{i}.{extension}", 0.5 * noise / np.abs(noise).max(), rate)
    paths = [str(folder / f"{i % N_FILES}.{extension}") for i in range(N_ITEMS)]
    return pd.DataFrame({"path": paths, "label": np.arange(N_ITEMS) // 4, "start_time": start})


def main() -> None:
    torch.set_num_threads(1)
    results = {}
    with TemporaryDirectory() as folder:
        for number, (name, case) in enumerate(CASES.items()):
            df = write_case(Path(folder, str(number)), *case)
            sides = {"oml": AudioLabeledDataset(df), "minimal": Minimal(df)}
            for ours, other in zip(sides["oml"], sides["minimal"], strict=True):
                torch.testing.assert_close(ours["input_tensors"], other["input_tensors"], rtol=0, atol=1e-5)
            rounds = [{side: measure(dataset) for side, dataset in sides.items()} for _ in range(N_ROUNDS)]
            results[name] = {side: round(median(r[side] for r in rounds)) for side in sides}
            results[name]["ratio"] = round(median(r["oml"] / r["minimal"] for r in rounds), 3)
            print(name, results[name])
    print(write_results("datasets_audio", {"items": N_ITEMS, "unit": "items per second", **results}))


if __name__ == "__main__":
    main()

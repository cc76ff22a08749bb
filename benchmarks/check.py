"""Files per second of `oml check` on many small pictures, beside decoding them on all cores, in one run."""

import argparse
import multiprocessing
import os
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.report import write_results
from oml.utils import check_dataset

N_FILES = 100_000
N_CORES = len(os.sched_getaffinity(0))


def write(job: tuple[str, int, int]) -> None:
    """Write pictures, all different."""
    folder, start, stop = job
    rng = np.random.default_rng(start)
    for i in range(start, stop):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        image = coarse.resize((64, 64), Image.Resampling.BILINEAR)
        image.save(f"{folder}/{i}.{'jpg' if i % 2 else 'png'}", **({} if i % 2 else {"compress_level": 1}))


def decode(path: str) -> int:
    """Decode a picture as a loader of training data would."""
    with Image.open(path) as image:
        return image.convert("RGB").width


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=N_FILES)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    n = arguments.files
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        with multiprocessing.Pool(N_CORES) as pool:
            pool.map(write, [(folder, start, min(start + 1000, n)) for start in range(0, n, 1000)])
        df = pd.DataFrame({"path": [f"{i}.{'jpg' if i % 2 else 'png'}" for i in range(n)], "label": np.arange(n) // 10})
        df["split"] = np.where(df["label"] % 2 == 0, "train", "validation")
        df["is_query"] = df["is_gallery"] = (
            (df["split"] == "validation").astype(object).where(df["split"] != "train", None)
        )
        paths = [f"{folder}/{path}" for path in df["path"]]
        seconds: dict[str, list[float]] = {"decoding": [], "oml check": []}
        for _ in range(arguments.rounds):
            started = perf_counter()
            with multiprocessing.Pool(N_CORES) as pool:
                assert sum(pool.imap_unordered(decode, paths, chunksize=256)) == 64 * n
            seconds["decoding"].append(perf_counter() - started)
            started = perf_counter()
            report = check_dataset(df, folder, verbose=False)
            seconds["oml check"].append(perf_counter() - started)
            assert report.errors == []
    best = {name: min(values) for name, values in seconds.items()}
    results = {
        "files": f"{n} pictures of 64 x 64, all different, half png, half jpg; {N_CORES} processes",
        "seconds": {name: [round(value, 2) for value in values] for name, values in seconds.items()},
        "files_per_s": {name: round(n / value) for name, value in best.items()},
        "speed_beside_decoding": round(best["decoding"] / best["oml check"], 3),
        "warnings": {finding.rule: len(finding.rows) for finding in report.warnings},
    }
    print(results)
    print(write_results("check", results))


if __name__ == "__main__":
    main()

"""
Time and memory of datasets over tables of 10,000,000 rows, beside reading the file alone.

Each is measured in a process of its own, so that the peak is that of one thing.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from memory import read_peak_memory

from benchmarks.report import write_results

N_ROWS = 10_000_000


def write_table(folder: Path, n: int) -> None:
    """Write the table as parquet: one path, label, category and sequence per row."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    numbers = np.arange(n)
    is_train = numbers < n // 2
    flags = pa.array(np.ones(n, dtype=bool), mask=is_train)
    columns = {
        "path": pc.binary_join_element_wise(
            "images/part_",
            pa.array(numbers % 1000).cast(pa.string()),
            "/picture_",
            pa.array(numbers).cast(pa.string()),
            ".jpg",
            "",
        ),
        "label": numbers // 10,
        "split": pa.array(np.where(is_train, "train", "validation")),
        "is_query": flags,
        "is_gallery": flags,
        "sequence": numbers // 5,
    }
    pq.write_table(pa.table(columns), folder / "df.parquet")


def read(folder: Path) -> dict[str, float]:
    """Read the file and no more."""
    df = pd.read_parquet(folder / "df.parquet")
    return {"rows": len(df)}


def make_datasets(folder: Path) -> dict[str, float]:
    """Read, check the format (there are no files) and make the datasets of both splits; then look at an item."""
    from oml.datasets import ImageLabeledDataset, ImageQueryGalleryLabeledDataset
    from oml.utils.dataframe_format import find_format_violations
    from oml.utils.tables import read_table

    df = read_table(folder / "df.parquet")
    assert list(find_format_violations(df, folder, check_files=False)) == []
    is_train = (df["split"] == "train").to_numpy()
    started = perf_counter()
    train = ImageLabeledDataset(df[is_train], dataset_root=folder, transform=len, f_imread=str)
    val = ImageQueryGalleryLabeledDataset(df[~is_train], dataset_root=folder, transform=len, f_imread=str)
    seconds = perf_counter() - started
    started = perf_counter()
    for i in range(1000):
        val[(i * 7919) % len(val)]
    return {"rows": len(train) + len(val), "datasets_s": seconds, "item_us": (perf_counter() - started) * 1000}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=N_ROWS)
    parser.add_argument("--only", choices=["read", "make_datasets"])
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    if arguments.only:
        started = perf_counter()
        numbers = globals()[arguments.only](arguments.folder)
        peak = read_peak_memory() / 2**30
        print(json.dumps({"seconds": perf_counter() - started, "peak_gb": peak, **numbers}))
        return
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_table(Path(folder), arguments.rows)
        results["file_gb"] = round((Path(folder) / "df.parquet").stat().st_size / 2**30, 3)
        for name in ("read", "make_datasets"):
            command = [sys.executable, "-m", "benchmarks.tables", "--only", name, "--folder", folder]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            results[name] = {key: round(value, 2) for key, value in json.loads(done.stdout.splitlines()[-1]).items()}
    print(json.dumps(results, indent=1))
    print(write_results("tables", results))


if __name__ == "__main__":
    main()

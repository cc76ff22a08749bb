"""
Verification on all pairs: time and memory of the streaming metrics, beside all distances at once in numpy.

Each measurement runs in its own process, so that its peak of memory is its own. Sizes: 5,900 rows (17 million pairs)
and 31,623 rows (500 million pairs), D = 384, 10 rows per label.
"""

import multiprocessing
import time
from typing import Any

import numpy as np
import torch
from memory import read_peak_memory, reset_peak_memory
from report import write_results

from oml.interfaces.datasets import IQueryGalleryLabeledDataset

DIM, PER_LABEL = 384, 10
SMALL, LARGE = 5_900, 31_623


def make_rows(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n) // PER_LABEL
    centres = torch.randn(int(labels.max()) + 1, DIM, generator=generator)
    rows = centres[labels] + 2.5 * torch.randn(n, DIM, generator=generator)
    return torch.nn.functional.normalize(rows), labels


def run_streaming(n: int, max_memory: int) -> dict[str, Any]:
    from oml.metrics import calc_verification_metrics

    rows, labels = make_rows(n)
    calc_verification_metrics(rows[:100], labels[:100], max_memory=max_memory)
    found, measured = measure(lambda: calc_verification_metrics(rows, labels, max_memory=max_memory))
    tar = found.tar_at_far[1e-6]
    return measured | {
        "method": found.method,
        "pairs": found.n_pos + found.n_neg,
        "eer": found.eer.value,
        "eer_bounds_width": found.eer.high - found.eer.low,
        "tar@far=1e-6": tar.value,
        "tar@far=1e-6_bounds_width": tar.high - tar.low,
        "fnmr@fmr=0.1": found.fnmr_at_fmr[0.1].value,
    }


def run_dataset_fnmr(n: int, max_memory: int) -> dict[str, Any]:
    """What EmbeddingMetrics asks for: FNMR@FMR over all queries and galleries."""
    from oml.metrics.verification import calc_fnmr_at_fmr_of_dataset

    rows, labels = make_rows(n)
    found, measured = measure(lambda: calc_fnmr_at_fmr_of_dataset(rows, Everything(labels), (0.1,), max_memory))
    return measured | {"fnmr@fmr=0.1": found["fnmr@fmr"][0.1].item()}


def run_all_results(n: int, max_memory: int) -> dict[str, Any]:
    """The documented way: results with all galleries, then FNMR@FMR of them."""
    from oml.metrics import calc_fnmr_at_fmr_rr
    from oml.retrieval import RetrievalResults

    rows, labels = make_rows(n)
    dataset: Any = Everything(labels)
    found, measured = measure(
        lambda: calc_fnmr_at_fmr_rr(RetrievalResults.from_embeddings(rows, dataset, n_items=n), (0.1,))
    )
    return measured | {"fnmr@fmr=0.1": found["fnmr@fmr"][0.1].item()}


def run_numpy(n: int, max_memory: int) -> dict[str, Any]:
    """All distances of the upper triangle at once, sorted by scikit-learn."""
    from sklearn.metrics import roc_curve

    rows, labels = make_rows(n)

    def calc() -> tuple[float, float]:
        i, j = np.triu_indices(n, 1)
        distances = np.sqrt(np.maximum(2 - 2 * (rows.numpy() @ rows.numpy().T), 0))[i, j]
        far, tar, _ = roc_curve((labels.numpy()[i] == labels.numpy()[j]), -distances)
        at = int(np.argmax(far >= 1 - tar))
        return float(far[at]), float(tar[far <= 1e-6].max())

    (eer, tar), measured = measure(calc)
    return measured | {"eer": eer, "tar@far=1e-6": tar}


def run_product(n: int, max_memory: int) -> dict[str, Any]:
    """The products alone, of the same blocks of the upper triangle: what the time cannot be below."""
    rows, _ = make_rows(n)

    def calc() -> None:
        for start in range(0, n, 1024):
            for first in range(start, n, 4096):
                rows[start : start + 1024] @ rows[first : first + 4096].T

    return measure(calc)[1]


class Everything(IQueryGalleryLabeledDataset):
    """All items are queries and galleries."""

    input_tensors_key, index_key, extra_data = "input_tensors", "idx", {}

    def __init__(self, labels: torch.Tensor):
        self.labels = labels

    def __getitem__(self, item: int) -> dict[str, Any]:
        return {"idx": item}

    def __len__(self) -> int:
        return len(self.labels)

    def get_labels(self) -> np.ndarray:
        return self.labels.numpy()

    def get_query_ids(self) -> torch.Tensor:
        return torch.arange(len(self.labels))

    get_gallery_ids = get_query_ids


def measure(function: Any) -> tuple[Any, dict[str, float]]:
    before = reset_peak_memory()
    start = time.perf_counter()
    result = function()
    seconds = time.perf_counter() - start
    return result, {"seconds": round(seconds, 2), "mb_above_input": round((read_peak_memory() - before) / 2**20)}


def run(function: Any, n: int, max_memory: int = 256 * 2**20) -> dict[str, Any]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        result: dict[str, Any] = pool.apply(function, (n, max_memory))
    print(function.__name__, n, result, flush=True)
    return result


def main() -> None:
    results = {
        f"{SMALL} rows": {
            "product": run(run_product, SMALL),
            "exact": run(run_streaming, SMALL),
            "histogram": run(run_streaming, SMALL, 64 * 2**20),
            "fnmr of a dataset": run(run_dataset_fnmr, SMALL),
            "fnmr of results with all galleries": run(run_all_results, SMALL),
            "scikit-learn, all at once": run(run_numpy, SMALL),
        },
        f"{LARGE} rows": {"product": run(run_product, LARGE), "histogram": run(run_streaming, LARGE)},
    }
    print(write_results("verification", results))


if __name__ == "__main__":
    main()

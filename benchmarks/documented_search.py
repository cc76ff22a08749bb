"""
Search and metrics by the documented calls alone, so that it runs on any package that has them.

60,500 items of 384 features against themselves, 5 answers, then CMC@1, CMC@5, precision@5 and MAP@5. Prints the
seconds, the memory beyond the input (MB), and the metrics. `benchmarks/search.py --peer-python` runs it in another
environment beside ours.
"""

import json
import sys
import time

import numpy as np
import torch
from memory import read_peak_memory, reset_peak_memory

from oml.interfaces.datasets import IQueryGalleryLabeledDataset
from oml.metrics import calc_retrieval_metrics_rr
from oml.retrieval import RetrievalResults

DIM, PER_LABEL = 384, 5


class Items(IQueryGalleryLabeledDataset):
    """Labelled items, each a query and a gallery."""

    input_tensors_key, labels_key, index_key = "input_tensors", "labels", "idx"

    def __init__(self, n: int):
        self.labels, self.extra_data = np.arange(n) // PER_LABEL, {}

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, item: int) -> dict:
        return {"labels": int(self.labels[item]), "idx": item}

    def get_labels(self) -> np.ndarray:
        return self.labels

    def get_label2category(self) -> None:
        return None

    def get_query_ids(self) -> torch.Tensor:
        return torch.arange(len(self))

    def get_gallery_ids(self) -> torch.Tensor:
        return torch.arange(len(self))


def make_embeddings(n: int) -> torch.Tensor:
    """Give unit vectors of `PER_LABEL` items per label, the items of a label near each other."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(n // PER_LABEL + 1, DIM, generator=generator)
    noise = torch.randn(n, DIM, generator=generator)
    return torch.nn.functional.normalize(centres[torch.arange(n) // PER_LABEL] + 2.0 * noise)


def main() -> None:
    """Measure once."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 60_500
    embeddings, dataset = make_embeddings(n), Items(n)
    small = RetrievalResults.from_embeddings(embeddings[:2000], Items(2000), n_items=5)  # what is loaded at first use
    calc_retrieval_metrics_rr(small)
    before = reset_peak_memory()
    start = time.perf_counter()
    results = RetrievalResults.from_embeddings(embeddings, dataset, n_items=5)
    metrics = calc_retrieval_metrics_rr(results, cmc_top_k=(1, 5), precision_top_k=(5,), map_top_k=(5,))
    seconds = time.perf_counter() - start
    memory = (read_peak_memory() - before) / 2**20
    found = {f"{name}@{k}": round(float(v), 6) for name, values in metrics.items() for k, v in values.items()}
    print(json.dumps({"seconds": round(seconds, 2), "MB beyond the input": round(memory), "metrics": found}))


if __name__ == "__main__":
    main()

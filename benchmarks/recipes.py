"""
Recipes on glyphs, letters that were not seen in training: our losses beside those of pytorch-metric-learning.

Each recipe trains the same network from the same weights with the same batches of 32 labels x 8 items for the same time
(processor time of this process), the rate falling along half a cosine over that time. MAP@R and CMC@1 of the validation
letters, mean and 95 % t-interval over the seeds. Run: `python benchmarks/recipes.py [--seconds 30] [--seeds 3]`; it
takes about six minutes on two cores.
"""

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from pytorch_metric_learning import losses as pml
from pytorch_metric_learning.miners import BatchHardMiner
from report import write_results
from scipy import stats
from torch import Tensor, nn

from oml.const import GLYPHS_DATASET_PATH
from oml.datasets import ImageLabeledDataset, ImageQueryGalleryLabeledDataset
from oml.losses import MultiSimilarityLoss, ProxyAnchorLoss, RecallAtKLoss, SupConLoss, TripletLossWithMiner
from oml.metrics import evaluate
from oml.miners import HardTripletsMiner
from oml.models import ConvExtractor
from oml.registry.pml import LossWithPMLMiner
from oml.retrieval import RetrievalResults
from oml.samplers import BalanceSampler
from oml.transforms.images.torchvision import get_normalisation_torch
from oml.utils import get_glyphs_dataset

N_LABELS, N_INSTANCES, LEARNING_RATE, PROXY_RATE = 32, 8, 3e-3, 0.3
METRICS = ["cmc@1", "map@r"]

# name: what makes the criterion for features of this width and so many labels
RECIPES: dict[str, Callable[[int, int], nn.Module]] = {
    "hard triplets, ours": lambda dim, n: TripletLossWithMiner(margin=0.2, miner=HardTripletsMiner()),
    "hard triplets, pytorch-metric-learning": lambda dim, n: LossWithPMLMiner(
        pml.TripletMarginLoss(margin=0.2), BatchHardMiner()
    ),
    "multi-similarity, ours": lambda dim, n: MultiSimilarityLoss(),
    "multi-similarity, pytorch-metric-learning": lambda dim, n: pml.MultiSimilarityLoss(2, 50, 0.5),
    "Proxy-Anchor, ours": lambda dim, n: ProxyAnchorLoss(dim, n),
    "Proxy-Anchor, pytorch-metric-learning": lambda dim, n: pml.ProxyAnchorLoss(n, dim),
    "SupCon, ours": lambda dim, n: SupConLoss(),
    "SupCon, pytorch-metric-learning": lambda dim, n: pml.SupConLoss(),
    "recall@k, ours": lambda dim, n: RecallAtKLoss(),
}


def read_all(dataset: Any) -> Tensor:
    """Give all pictures of a dataset as they go into the network."""
    return torch.stack([dataset[i]["input_tensors"] for i in range(len(dataset))])


def train(make: Callable[[int, int], nn.Module], inputs: Tensor, labels: np.ndarray, seconds: float, seed: int) -> Any:
    """Train for so many seconds; give the extractor and the number of steps."""
    torch.manual_seed(seed)
    extractor = ConvExtractor(im_size=32)
    codes = torch.from_numpy(np.unique(labels, return_inverse=True)[1])
    criterion = make(extractor.feat_dim, int(codes.max()) + 1)
    parts = [
        {"params": extractor.parameters(), "lr": LEARNING_RATE},
        {"params": criterion.parameters(), "lr": PROXY_RATE},
    ]
    optimiser = torch.optim.AdamW([part for part in parts if part["params"]])
    rates = [group["lr"] for group in optimiser.param_groups]
    sampler = BalanceSampler(labels, n_labels=N_LABELS, n_instances=N_INSTANCES, seed=seed)
    start, n_steps, epoch = time.process_time(), 0, 0
    while True:
        sampler.set_epoch(epoch)
        epoch += 1
        for ids in sampler:
            done = (time.process_time() - start) / seconds
            if done >= 1:
                return extractor.eval(), n_steps
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * (1 + math.cos(math.pi * done)) / 2
            loss = criterion(extractor(inputs[ids]), codes[ids])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            n_steps += 1


@torch.no_grad()
def validate(extractor: nn.Module, inputs: Tensor, dataset: Any) -> dict[str, float]:
    """Give the metrics of the validation letters."""
    embeddings = torch.cat([extractor(part) for part in inputs.split(512)])
    results = RetrievalResults.from_embeddings(embeddings, dataset, n_items=100)
    return {name: float(value) for name, value in evaluate(results, metrics=METRICS).items()}


def summarise(values: list[float]) -> dict[str, Any]:
    """Give the mean, and half the width of its t-interval."""
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values) if len(values) > 1 else math.nan
    return {
        "mean": round(float(np.mean(values)), 4),
        "+-": round(float(half), 4),
        "values": [round(v, 4) for v in values],
    }


def main() -> None:
    """Train and validate all recipes, one seed after another, so that all share what the machine does meanwhile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of the processor, for each training")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    df_train, df_val = get_glyphs_dataset(GLYPHS_DATASET_PATH)
    transform, root = get_normalisation_torch(), GLYPHS_DATASET_PATH
    train_set = ImageLabeledDataset(df_train, dataset_root=root, transform=transform)
    val_set = ImageQueryGalleryLabeledDataset(df_val, dataset_root=root, transform=transform)
    train_inputs, val_inputs, labels = read_all(train_set), read_all(val_set), train_set.get_labels()
    found: dict[str, list[dict[str, float]]] = {name: [] for name in RECIPES}
    for seed in range(arguments.seeds):
        for name, make in RECIPES.items():
            extractor, n_steps = train(make, train_inputs, labels, arguments.seconds, seed)
            found[name].append({**validate(extractor, val_inputs, val_set), "steps": n_steps})
            print(seed, name, found[name][-1], flush=True)
    results = {
        name: {m: summarise([run[m] for run in runs]) for m in (*METRICS, "steps")} for name, runs in found.items()
    }
    print(write_results("recipes", {"processor seconds": arguments.seconds, "recipes": results}))


if __name__ == "__main__":
    main()

"""
Where the time of the demo's training loop goes: waiting for the loader, model forward and backward, loss, optimiser.

The loop is the demo's, with a clock between its parts. The backward pass is done in two halves at the embeddings, so
that the loss's own gradient is not counted as the model's. Run: python benchmarks/train_step.py
"""

import argparse
from collections import defaultdict
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import torch
from report import write_results
from torch.utils.data import DataLoader

from oml.cli.demo import LEARNING_RATE, MARGIN, N_INSTANCES, N_LABELS
from oml.datasets import ImageLabeledDataset
from oml.losses import TripletLossWithMiner
from oml.miners import AllTripletsMiner, HardTripletsMiner
from oml.models import ConvExtractor
from oml.samplers import BalanceSampler
from oml.transforms.images.torchvision import get_normalisation_torch
from oml.utils import get_glyphs_dataset

MINERS = {"hard_triplets": HardTripletsMiner, "all_triplets": AllTripletsMiner}
OF_THE_MODEL = ("forward", "backward", "optimiser")


class Clock:
    """Adds up the time since the last call under a name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.last = perf_counter()

    def lap(self, name: str) -> None:
        now = perf_counter()
        self.seconds[name] += now - self.last
        self.last = now


def measure_epoch(extractor, criterion, optimizer, loader) -> dict[str, float]:
    """Train for an epoch and give the seconds of each part."""
    clock = Clock()
    for batch in loader:
        clock.lap("loader")
        features = extractor(batch["input_tensors"])
        clock.lap("forward")
        leaf = features.detach().requires_grad_()
        criterion(leaf, batch["labels"]).backward()
        clock.lap("loss_and_miner")
        optimizer.zero_grad()
        features.backward(leaf.grad)
        clock.lap("backward")
        optimizer.step()
        clock.lap("optimiser")
    return dict(clock.seconds)


def measure_run(train: ImageLabeledDataset, miner: str, workers: int, n_epochs: int) -> dict[str, object]:
    """Give medians over epochs, without the first, of the share of each part."""
    torch.manual_seed(0)
    extractor = ConvExtractor(im_size=32).train()
    criterion = TripletLossWithMiner(MARGIN, MINERS[miner](), need_logs=True)
    optimizer = torch.optim.AdamW(extractor.parameters(), lr=LEARNING_RATE)
    sampler = BalanceSampler(train.get_labels(), N_LABELS, N_INSTANCES, seed=0)
    loader = DataLoader(train, batch_sampler=sampler, num_workers=workers, persistent_workers=workers > 0)
    epochs = [measure_epoch(extractor, criterion, optimizer, loader) for _ in range(n_epochs + 1)][1:]
    shares = [{name: value / sum(epoch.values()) for name, value in epoch.items()} for epoch in epochs]
    return {
        "seconds_per_step": round(median(sum(epoch.values()) for epoch in epochs) / len(loader), 4),
        "shares": {name: round(median(share[name] for share in shares), 4) for name in shares[0]},
        "share_of_the_model": round(median(sum(share[name] for name in OF_THE_MODEL) for share in shares), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        df_train, _ = get_glyphs_dataset(folder, global_paths=True)
        train = ImageLabeledDataset(df_train, transform=get_normalisation_torch())
        results = {
            f"{miner}, {workers} loader workers": measure_run(train, miner, workers, arguments.epochs)
            for miner in MINERS
            for workers in (1, 0)
        }
    for name, result in results.items():
        print(name, result)
    print(write_results("train_step", {"batch": [N_LABELS, N_INSTANCES], **results}))


if __name__ == "__main__":
    main()

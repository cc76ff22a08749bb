"""
Find who speaks: sounds of unheard speakers, by statistics of a spectrogram and by a small network trained from scratch.

Protocol: `oml.utils.get_speakers_dataset`. Training sees half of espeak-ng's voices, four speakers each; the other half
is for validation. There each sound of two words is a query and all others are galleries (1 vs rest). MAP is the mean
over queries of the average precision over the whole ranking. Embeddings without training are means and standard
deviations over time of 64 log-mel bands, as they are and as cosines around the mean of the training set. The network
is trained by hard triplets, with the same number of steps for each seed; its last state counts, nothing is chosen by
the validation set. The voices depend on the version of espeak-ng, which the results name.

Run: python benchmarks/speakers.py --seeds 0 1
"""

import argparse
import subprocess
from statistics import mean
from tempfile import TemporaryDirectory
from time import perf_counter

import torch
from report import write_results
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.utils.data import DataLoader

from oml.datasets import AudioLabeledDataset, AudioQueryGalleryLabeledDataset
from oml.functional.mel import calc_mel_filters, calc_mel_spectrogram
from oml.losses import TripletLossWithMiner
from oml.metrics import evaluate
from oml.miners import HardTripletsMiner
from oml.retrieval import RetrievalResults
from oml.samplers import BalanceSampler
from oml.utils import get_speakers_dataset

SECONDS = 2.0
N_MELS, HOP = 64, 320
N_LABELS, N_INSTANCES = 24, 4
LEARNING_RATE, MARGIN = 3e-3, 0.2


class LogMel(nn.Module):
    """Log-mel bands (B, N_MELS, frames), and weights (B, 1, frames) of the frames: 0 where there is no sound, sum 1."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filters", calc_mel_filters(512, N_MELS, 16000), persistent=False)
        self.register_buffer("window", torch.hann_window(400), persistent=False)

    def forward(self, sounds: Tensor) -> tuple[Tensor, Tensor]:
        mel = calc_mel_spectrogram(sounds.squeeze(1), self.filters, self.window, HOP)
        is_sound = (mel.sum(dim=1, keepdim=True) > 1e-3).float()
        return torch.log(mel + 1e-6), is_sound / is_sound.sum(dim=2, keepdim=True).clamp(min=1)


def pool(x: Tensor, weights: Tensor) -> Tensor:
    """Give the mean and the standard deviation over time of (B, C, frames): (B, 2 C)."""
    means = (x * weights).sum(dim=2)
    variances = ((x - means[..., None]).square() * weights).sum(dim=2)
    return torch.cat([means, variances.clamp(min=1e-6).sqrt()], dim=1)


class SpeakerNet(nn.Module):
    """Four convolutions over time on a log-mel spectrogram without its loudness, pooled: (B, 1, T) -> (B, 128)."""

    def __init__(self, n_channels: int = 128, feat_dim: int = 128):
        super().__init__()
        self.log_mel = LogMel()
        sizes = [(N_MELS, n_channels, 5, 1), (n_channels, n_channels, 3, 2), (n_channels, n_channels, 3, 3)]
        layers: list[nn.Module] = [nn.BatchNorm1d(N_MELS)]
        for n_in, n_out, kernel, dilation in [*sizes, (n_channels, 3 * n_channels, 1, 1)]:
            convolution = nn.Conv1d(
                n_in, n_out, kernel, padding=dilation * (kernel // 2), dilation=dilation, bias=False
            )
            layers += [convolution, nn.BatchNorm1d(n_out), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.BatchNorm1d(6 * n_channels), nn.Linear(6 * n_channels, feat_dim))

    def forward(self, sounds: Tensor) -> Tensor:
        log_mel, weights = self.log_mel(sounds)
        loudness = (log_mel * weights).sum(dim=(1, 2), keepdim=True) / N_MELS
        return normalize(self.head(pool(self.layers(log_mel - loudness), weights)))


@torch.no_grad()
def embed(fn, sounds: Tensor) -> Tensor:
    return torch.cat([fn(part) for part in sounds.split(256)])


def measure(embeddings: Tensor, val: AudioQueryGalleryLabeledDataset) -> dict[str, float]:
    n = len(val)
    rr = RetrievalResults.from_embeddings(embeddings, val, n_items=n)
    values = evaluate(rr, [f"map@{n}:standard", "cmc@1"])
    return {"map": round(float(values[f"map@{n}:standard"]), 4), "cmc@1": round(float(values["cmc@1"]), 4)}


def train(sounds: Tensor, labels, seed: int, n_steps: int) -> SpeakerNet:
    torch.manual_seed(seed)
    extractor = SpeakerNet().train()
    criterion = TripletLossWithMiner(MARGIN, HardTripletsMiner())
    optimizer = torch.optim.AdamW(extractor.parameters(), lr=LEARNING_RATE)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=n_steps)
    sampler = BalanceSampler(labels, N_LABELS, N_INSTANCES, seed=seed)
    step, labels = 0, torch.from_numpy(labels)
    while step < n_steps:
        for ids in sampler:
            loss = criterion(extractor(sounds[ids]), labels[ids])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            step += 1
            if step == n_steps:
                break
    return extractor.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--dataset-root", help="where the data set is kept; a temporary folder by default")
    arguments = parser.parse_args()
    with TemporaryDirectory() as temporary:
        df_train, df_val = get_speakers_dataset(arguments.dataset_root or temporary, global_paths=True)
        train_set = AudioLabeledDataset(df_train, max_num_seconds=SECONDS)
        val = AudioQueryGalleryLabeledDataset(df_val, max_num_seconds=SECONDS)
        sounds, val_sounds = (  # once into memory: 32,000 samples each
            torch.cat([batch["input_tensors"] for batch in DataLoader(dataset, batch_size=100)])
            for dataset in (train_set, val)
        )
    log_mel = LogMel()
    statistics, center = embed(lambda x: pool(*log_mel(x)), val_sounds), embed(lambda x: pool(*log_mel(x)), sounds)
    results: dict[str, object] = {
        "espeak-ng": subprocess.run(["espeak-ng", "--version"], capture_output=True, text=True, check=True).stdout[:40],
        "data": {
            "train": [len(df_train), df_train["label"].nunique()],
            "validation": [len(df_val), df_val["label"].nunique()],
        },
        "statistics": measure(statistics, val),
        "statistics, centred cosine": measure(normalize(statistics - center.mean(dim=0)), val),
    }
    print(results)
    runs = []
    for seed in arguments.seeds:
        torch.manual_seed(seed)
        untrained = measure(embed(SpeakerNet().eval(), val_sounds), val)
        began = perf_counter()
        extractor = train(sounds, train_set.get_labels(), seed, arguments.steps)
        seconds = round(perf_counter() - began)
        runs.append(
            {"seed": seed, "seconds": seconds, "untrained": untrained, **measure(embed(extractor, val_sounds), val)}
        )
        print(runs[-1])
    results["trained"] = {name: round(mean(run[name] for run in runs), 4) for name in ("map", "cmc@1")}
    results |= {"steps": arguments.steps, "batch": [N_LABELS, N_INSTANCES], "runs": runs}
    print(results["trained"], write_results("speakers", results))


if __name__ == "__main__":
    main()

"""
`inference` over 5,000 JPEG pictures of 256 x 256 pixels with a light model, beside a bare loop over a DataLoader.

Both use the same transform. The bare loop opens files with Pillow in a dataset of five lines. Then what reading and
resizing a picture costs by other means: Pillow's draft mode, and torchvision's decoder with its resize on tensors.

    python benchmarks/inference_jpegs.py
"""

import argparse
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from PIL import Image
from report import write_results
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from oml.const import MEAN, STD
from oml.datasets import ImageBaseDataset
from oml.inference import inference
from oml.models import TimmExtractor
from oml.registry.transforms import get_transforms

SIDE, SIZE, BATCH_SIZE = 256, 224, 128
MIN_SHARE = 0.95  # of the throughput of the bare loop


def make_picture(generator: np.random.Generator, side: int) -> Image.Image:
    """Give smooth blobs with some noise, which compress about as photographs do."""
    coarse = generator.integers(0, 256, (side // 16, side // 16, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32)
    noisy = smooth + generator.normal(0, 8, (side, side, 1))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


class BarePictures(Dataset):
    def __init__(self, paths: list[Path], transform: Callable[[Image.Image], Tensor]):
        self.paths, self.transform = paths, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, item: int) -> Tensor:
        return self.transform(Image.open(self.paths[item]).convert("RGB"))


@torch.no_grad()
def run_bare(model: nn.Module, paths: list[Path], transform: Any, n_workers: int) -> Tensor:
    loader = DataLoader(BarePictures(paths, transform), batch_size=BATCH_SIZE, num_workers=n_workers)
    return torch.cat([model(batch) for batch in loader])


def run_ours(model: nn.Module, paths: list[Path], transform: Any, n_workers: int) -> Tensor:
    dataset = ImageBaseDataset(paths, transform=transform)
    return inference(model, dataset, batch_size=BATCH_SIZE, num_workers=n_workers)


def compare_loops(paths: list[Path], n_rounds: int) -> dict[str, Any]:
    model = TimmExtractor("test_resnet").eval()
    transform = get_transforms("norm_resize_hypvit_torch", im_size=SIZE, crop_size=SIZE)
    sides = {"bare": run_bare, "inference": run_ours}
    results: dict[str, Any] = {}
    for n_workers in (0, 1):
        rates: dict[str, list[float]] = {name: [] for name in sides}
        answers = {}
        for _ in range(n_rounds):
            for name, run in sides.items():
                start = time.perf_counter()
                answers[name] = run(model, paths, transform, n_workers)
                rates[name].append(len(paths) / (time.perf_counter() - start))
        torch.testing.assert_close(answers["bare"], answers["inference"])
        # neighbours in time, so that a change of the machine's pace does not count
        share = statistics.median(o / b for o, b in zip(rates["inference"], rates["bare"], strict=True))
        medians = {f"{name}_per_s": round(statistics.median(values), 1) for name, values in rates.items()}
        results[f"num_workers={n_workers}"] = {**medians, "share": round(share, 3), "asked": MIN_SHARE}
        print(n_workers, results[f"num_workers={n_workers}"])
    return results


def make_decoders() -> dict[str, Callable[[bytes], Tensor]]:
    """Give ways from the bytes of a file to a normalised tensor of SIZE x SIZE."""
    bicubic = v2.InterpolationMode.BICUBIC
    pillow = get_transforms("norm_resize_hypvit_torch", im_size=SIZE, crop_size=SIZE)
    numbers = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    tensors = v2.Compose([v2.Resize(SIZE, interpolation=bicubic, antialias=True), v2.CenterCrop(SIZE), *numbers])

    def with_draft(content: bytes) -> Tensor:
        image = Image.open(io.BytesIO(content))
        image.draft("RGB", (SIZE, SIZE))
        return pillow(image.convert("RGB"))

    return {
        "Pillow, resize by Pillow": lambda content: pillow(Image.open(io.BytesIO(content)).convert("RGB")),
        "Pillow in draft mode, resize by Pillow": with_draft,
        "torchvision.io.decode_jpeg, resize of tensors": lambda content: tensors(
            torchvision.io.decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        ),
    }


def compare_decoders(n_pictures: int, n_rounds: int) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    results: dict[str, Any] = {}
    for side, n in ((SIDE, n_pictures), (1024, n_pictures // 8)):
        files = []
        for _ in range(n):
            file = io.BytesIO()
            make_picture(generator, side).save(file, "JPEG", quality=90)
            files.append(file.getvalue())
        decoders = make_decoders()
        times: dict[str, list[float]] = {name: [] for name in decoders}
        for _ in range(n_rounds):
            for name, decode in decoders.items():
                start = time.perf_counter()
                for content in files:
                    decode(content)
                times[name].append((time.perf_counter() - start) / n)
        reference = next(iter(decoders.values()))
        for name, decode in decoders.items():
            differences = [(decode(content) - reference(content)).abs().max().item() for content in files[:50]]
            results[f"{side} pixels: {name}"] = {
                "ms": round(1e3 * statistics.median(times[name]), 3),
                "largest difference after normalisation": round(max(differences), 3),
            }
    print(json.dumps(results, indent=2))
    return results


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{i}.jpg" for i in range(args.pictures)]
        for path in paths:
            make_picture(generator, SIDE).save(path, quality=90)
        loops = compare_loops(paths, args.rounds)
    results = {"pictures": args.pictures, "loops": loops, "decoders": compare_decoders(400, args.rounds)}
    print(write_results("inference_jpegs", results))


if __name__ == "__main__":
    main()

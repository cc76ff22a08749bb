"""
What our extractors cost over the bare models of timm and torchvision. Run: python benchmarks/forward.py

All sides, with onnxruntime beside, have the same weights and take the same batch in turn; the ratio is the median over
rounds of ours by theirs. Asked: at most 1.02.
"""

import tempfile
import warnings
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import timm
import torch
import torchvision
from report import write_results
from torch import Tensor, nn

from oml.models import ResnetExtractor, ViTExtractor
from oml.models.vit_dino.network import published_to_timm

N_ROUNDS = 25
BATCH_SIZE = 8
IM_SIZE = 224
MAX_RATIO = 1.02


def make_vits() -> tuple[nn.Module, nn.Module]:
    ours = ViTExtractor(weights=None, arch="vits16").eval()
    bare = timm.create_model("vit_small_patch16_224.dino", num_classes=0).eval()
    bare.load_state_dict(published_to_timm(ours.model.state_dict()))
    return ours, bare


def make_resnets() -> tuple[nn.Module, nn.Module]:
    ours = ResnetExtractor(weights=None, arch="resnet50", gem_p=None, remove_fc=True).eval()
    bare = torchvision.models.resnet50(weights=None).eval()
    bare.fc = nn.Identity()
    bare.load_state_dict(ours.model.state_dict())
    return ours, bare


def make_onnx(extractor: nn.Module, images: Tensor, folder: Path) -> Any:
    import onnxruntime

    path = folder / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(extractor, (images,), path, dynamo=True, output_names=["features"], verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0])


def measure(function: Any, images: Tensor) -> float:
    started = perf_counter()
    function(images)
    return perf_counter() - started


@torch.inference_mode()
def compare(ours: nn.Module, bare: nn.Module, onnx: Any, images: Tensor) -> dict[str, Any]:
    expected = bare(images)
    torch.testing.assert_close(ours(images), expected, atol=1e-5, rtol=1e-4)
    cosine = torch.cosine_similarity(onnx(images), expected).min().item()
    rounds = []
    for i in range(N_ROUNDS):
        sides = [ours, bare] if i % 2 else [bare, ours]  # the first of a round is not always the same
        seconds = {id(side): measure(side, images) for side in sides}
        rounds.append((seconds[id(ours)], seconds[id(bare)], measure(onnx, images)))
    return {
        "ours_ms": round(1e3 * median(a for a, _, _ in rounds), 2),
        "bare_ms": round(1e3 * median(b for _, b, _ in rounds), 2),
        "ratio": round(median(a / b for a, b, _ in rounds), 4),
        "asked": MAX_RATIO,
        "onnxruntime_ms": round(1e3 * median(c for _, _, c in rounds), 2),
        "onnxruntime_min_cosine": round(cosine, 6),
    }


def main() -> None:
    torch.manual_seed(0)
    images = torch.randn(BATCH_SIZE, 3, IM_SIZE, IM_SIZE)
    results: dict[str, Any] = {"batch": list(images.shape), "rounds": N_ROUNDS}
    for name, make in (("vits16 and timm", make_vits), ("resnet50 and torchvision", make_resnets)):
        ours, bare = make()
        with tempfile.TemporaryDirectory() as folder:
            onnx = make_onnx(ours, images, Path(folder))
            results[name] = compare(ours, bare, onnx, images)
        print(name, results[name])
    print(write_results("forward", results))


if __name__ == "__main__":
    main()

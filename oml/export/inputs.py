"""What an exported graph takes: where the transform ends and the graph begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from oml.bundles.preprocessing import apply
from oml.errors import InvalidInputError, check
from oml.export.resize import FILTERS, Window
from oml.transforms.images.albumentations import FitAndNormalise

TRANSFORMED, UNIT, BYTES = "transformed", "0..1", "0..255"
_TO_RGB = ("ToRGB", "ConvertImage", "RGB")
_TO_NUMBERS = (
    "ToTensor",
    "MaybeToTensor",
    "MaybePILToTensor",
    "PILToTensor",
    "ToImage",
    "ToPureTensor",
    "ToDtype",
    "ConvertImageDtype",
)


class Statistics(NamedTuple):
    """What is subtracted from each channel of 0..1, and what divides it."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class Normalise(nn.Module):
    """Normalises pictures (B, C, H, W) of 0..1, or of 0..255 with a scale of 255, inside a graph."""

    mean: Tensor
    std: Tensor

    def __init__(self, statistics: Statistics, scale: float = 1.0):
        super().__init__()
        mean, std = (torch.tensor(values, dtype=torch.float64).view(1, -1, 1, 1) for values in statistics)
        self.register_buffer("mean", (mean * scale).float())
        self.register_buffer("std", (std * scale).float())

    def forward(self, pictures: Tensor) -> Tensor:
        """Give the normalised pictures in float32."""
        return (pictures.float() - self.mean) / self.std


class Pixels:
    """A transform that gives the bytes of a picture, (C, H, W), and leaves all else to the graph."""

    def __init__(self, transform: Any):
        steps = _flatten(transform)
        self.mode = "L" if getattr(steps[0], "mode", "RGB") == "L" else "RGB"

    def __call__(self, picture: Any) -> Tensor:
        """Give the bytes of a picture of Pillow or an array."""
        import numpy as np
        from PIL import Image

        picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        pixels = np.array(picture.convert(self.mode))
        return torch.from_numpy(pixels).reshape(*pixels.shape[:2], -1).permute(2, 0, 1).contiguous()


class Unit:
    """A transform without its normalisation: gives (C, H, W) in 0..1."""

    def __init__(self, transform: Any, statistics: Statistics):
        self.transform = apply(transform)
        self.mean, self.std = (torch.tensor(values).view(-1, 1, 1) for values in statistics)

    def __call__(self, picture: Any) -> Tensor:
        """Give the resized, not normalised picture."""
        return self.transform(picture) * self.std + self.mean


def find_statistics(transform: Any) -> Statistics | None:
    """Give the statistics that a transform normalises by at its end; None if it does not, or cannot be read."""
    if transform is None:
        return None
    last = _flatten(transform)[-1]
    if type(last).__name__ not in ("Normalize", "FitAndNormalise"):
        return None
    return Statistics(*(tuple(map(float, values)) for values in (last.mean, last.std)))


def make_preprocessing(transform: Any) -> nn.Module:
    """
    Give a transform as a module of a graph: from bytes (B, C, H, W) of any size to normalised pictures.

    Known are `Resize` and `CenterCrop` by bilinear or bicubic interpolation, conversions and `Normalize` of torchvision
    (both versions) and timm, and the transforms of OML.

    Raises:
        InvalidInputError: there is a step that is not known, or the size of the result depends on the picture.

    """
    statistics = find_statistics(transform)
    steps = _flatten(transform)
    if isinstance(steps[0], FitAndNormalise) and len(steps) == 1:
        side = steps[0].im_size or 0
        check(side > 0, _cure("FitAndNormalise(im_size=None) leaves pictures of any size"))
        windows = [Window((side, side), "long", side, antialias=False, fill=255.0)]
    else:
        check(statistics is not None, _cure("the transform does not end with Normalize"))
        windows = _read_geometry(steps[:-1])
    assert statistics is not None
    return nn.Sequential(*windows, Normalise(statistics, scale=255.0))


def _read_geometry(steps: Sequence[Any]) -> list[Window]:
    geometry = [step for step in steps if type(step).__name__ not in (*_TO_RGB, *_TO_NUMBERS)]
    known = [type(step).__name__ in ("Resize", "CenterCrop") for step in geometry]
    strange = [repr(step) for step, is_known in zip(geometry, known, strict=True) if not is_known]
    check(not strange, _cure(f"the step {strange[0] if strange else ''} is not known"))
    sizes = [_to_size(step.size) for step in geometry]
    windows = []
    names = [type(step).__name__ for step in geometry]
    if names[:1] == ["Resize"]:
        step = geometry[0]
        name = getattr(step.interpolation, "value", step.interpolation)
        check(name in FILTERS, _cure(f"the interpolation {name!r} is not known"))
        check(step.max_size is None, _cure(f"max_size={step.max_size} is not known"))
        if len(sizes[0]) == 2:
            windows.append(Window((sizes[0][0], sizes[0][1]), interpolation=name))
        elif names[1:2] == ["CenterCrop"]:
            windows.append(Window(_pair(sizes[1]), "short", sizes[0][0], name))
            names = names[1:]
        names = names[1:]
    check(
        not names and bool(windows),
        _cure("the size of the result depends on the picture, or the steps are not Resize, CenterCrop in this order"),
    )
    return windows


def _flatten(transform: Any) -> list[Any]:
    parts = getattr(transform, "transforms", None)
    if parts is None:
        return [transform]
    return [step for part in parts for step in _flatten(part)]


def _to_size(size: Any) -> tuple[int, ...]:
    return (size,) if isinstance(size, int) else tuple(size)


def _pair(size: tuple[int, ...]) -> tuple[int, int]:
    return (size[0], size[-1])


def _cure(problem: str) -> str:
    return (
        f"The transform cannot be put into the graph: {problem}. Export without preprocessing, so that the graph takes "
        "resized pictures, or use a transform of Resize, CenterCrop and Normalize."
    )


def refuse(modality: str) -> InvalidInputError:
    """Word the error about preprocessing of what is no picture."""
    return InvalidInputError(
        f"Preprocessing inside the graph is for pictures; the bundle takes {modality}. Export without it."
    )

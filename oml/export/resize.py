"""Resizing, cropping and padding of pictures as products of matrices, which any exporter and any runtime knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

TFilter = Callable[[Tensor], Tensor]


class Axis(NamedTuple):
    """
    Which part of a resized side is wanted.

    Attributes:
        new: The length of the whole resized side, a scalar tensor of float64.
        start: Where the wanted part begins in it, in pixels; negative where there is padding first.

    """

    new: Tensor
    start: Tensor


def triangle(x: Tensor) -> Tensor:
    """Give the weights of bilinear interpolation at the distances x, in pixels."""
    return (1 - x.abs()).clamp(min=0)


def cubic(x: Tensor) -> Tensor:
    """Give the weights of bicubic interpolation with a = -0.5, as Pillow has it, at the distances x, in pixels."""
    x = x.abs()
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    zero = torch.zeros_like(x)
    return torch.where(x < 1, near, torch.where(x < 2, far, zero))


FILTERS: dict[str, TFilter] = {"bilinear": triangle, "bicubic": cubic}


class Window(nn.Module):
    """
    Resizes pictures of one size, any size, and gives a window of the result: a crop, or with padding around it.

    It gives the pixels of Pillow (`antialias=True`: each of the two passes is rounded to whole numbers), or those of
    `interpolate` without antialiasing. Coefficients are calculated in float64, once per batch. Pillow does the rows
    first, but the columns first where that takes fewer steps (pictures much higher than wide), whose roundings differ.

    Args:
        size: Height and width of the window.
        fit: `"stretch"`: the whole picture fills the window; `"short"`: the shorter side becomes `side`, the window is
            cut from the middle; `"long"`: the longer side becomes `side`, the window is centred around it.
        side: The length of that side, in pixels.
        interpolation: A key of `FILTERS`.
        antialias: Whether the filter grows with the scale.
        fill: The number that stands outside of the picture.

    """

    def __init__(
        self,
        size: tuple[int, int],
        fit: str = "stretch",
        side: int = 0,
        interpolation: str = "bilinear",
        antialias: bool = True,
        fill: float = 0.0,
    ):
        super().__init__()
        self.size = size
        self.fit = fit
        self.side = side
        self.interpolation = interpolation
        self.antialias = antialias
        self.fill = fill

    def forward(self, pictures: Tensor) -> Tensor:
        """Give the windows (B, C, H', W'), whole numbers 0..255 in float32, of the pictures (B, C, H, W), uint8."""
        h, w = (_count(pictures, dim) for dim in (2, 3))
        axes = self._place(h, w)
        (rows, is_row), (columns, is_column) = (
            self._weigh(pictures, dim, axis, n) for dim, axis, n in zip((2, 3), axes, self.size, strict=True)
        )
        across = pictures.float() @ columns.T
        if self.antialias:  # Pillow keeps the result of each pass as bytes, and rounds halves up
            pixels = _to_bytes(rows @ _to_bytes(across))
        else:
            pixels = (rows @ across).round()
        inside = is_row[:, None] * is_column[None, :]
        return pixels * inside + self.fill * (1 - inside)

    def _place(self, h: Tensor, w: Tensor) -> tuple[Axis, Axis]:
        height, width = self.size
        if self.fit == "stretch":
            zero = torch.zeros_like(h)
            return Axis(zero + height, zero), Axis(zero + width, zero)
        if self.fit == "short":
            short = torch.minimum(h, w)
            new_h, new_w = (torch.floor(self.side * side / short) for side in (h, w))
            # torchvision pads a picture that is too small, then cuts; the halves are rounded differently
            starts = (_start_of_crop(new, n) for new, n in ((new_h, height), (new_w, width)))
        else:
            scale = self.side / torch.maximum(h, w)
            new_h, new_w = ((side * scale).round().clamp(min=1) for side in (h, w))
            starts = (-torch.floor((n - new) / 2) for new, n in ((new_h, height), (new_w, width)))
        return Axis(new_h, next(starts)), Axis(new_w, next(starts))

    def _weigh(self, pictures: Tensor, dim: int, axis: Axis, n: int) -> tuple[Tensor, Tensor]:
        """Give the weights of the source's lines for the window's ones, (n, length), and which lie inside, (n,)."""
        lines = torch.arange(n, dtype=torch.float64, device=pictures.device) + axis.start
        source = torch.arange(pictures.shape[dim], dtype=torch.float64, device=pictures.device)
        ratio = _count(pictures, dim) / axis.new
        centre = (lines + 0.5) * ratio
        width = ratio.clamp(min=1) if self.antialias else torch.ones_like(ratio)
        is_inside = (lines >= 0) & (lines < axis.new)
        centre = torch.where(is_inside, centre, torch.zeros_like(centre) + 0.5)  # any place will do outside
        weights = FILTERS[self.interpolation]((source + 0.5 - centre[:, None]) / width)
        return (weights / weights.sum(dim=1, keepdim=True)).float(), is_inside.float()


def _to_bytes(values: Tensor) -> Tensor:
    return (values + 0.5).floor().clamp(0, 255)


def _count(pictures: Tensor, dim: int) -> Tensor:
    # from a tensor, so that the length stays a variable of the exported graph
    return torch.arange(pictures.shape[dim], dtype=torch.float64, device=pictures.device)[-1] + 1


def _start_of_crop(new: Tensor, n: int) -> Tensor:
    return torch.where(new >= n, ((new - n) / 2).round(), -torch.floor((n - new) / 2))

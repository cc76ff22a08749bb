"""Read pictures, draw on them, find the broken ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from oml.const import BLACK, PAD_COLOR, TBBox, TColor
from oml.errors import check
from oml.utils.images.pillow import DECODER_ERRORS, get_orientation, to_rgb

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TImage = Image.Image | np.ndarray
TImSource = Path | str | bytes
TImReader = Callable[[TImSource], TImage]


def imread_pillow(im_src: TImSource) -> Image.Image:
    """
    Read a picture as RGB, the way it is meant to be seen.

    The orientation noted by a camera (EXIF) is applied. Greyscale, CMYK and palette pictures become RGB, 16-bit
    greyscale keeps its upper 8 bits, the alpha channel is dropped, an animation gives its first frame.

    Args:
        im_src: A path or the content of a file.

    Raises:
        TypeError: the source is neither a path nor bytes.
        FileNotFoundError: there is no such file.
        OSError: the file is not a picture, or a damaged one.

    Example:
        >>> buffer = BytesIO()
        >>> Image.new("L", (4, 2), 255).save(buffer, "png")
        >>> imread_pillow(buffer.getvalue()).getpixel((3, 1))
        (255, 255, 255)

    """
    return read_picture(im_src)


def read_picture(im_src: TImSource, prepare: Callable[[Image.Image], None] | None = None) -> Image.Image:
    """Do what `imread_pillow` does, and let `prepare` change how the opened file is decoded."""
    if not isinstance(im_src, Path | str | bytes):
        raise TypeError(f"`im_src` must be a path or bytes of a file, got {type(im_src).__name__}.")
    try:
        with Image.open(BytesIO(im_src) if isinstance(im_src, bytes) else im_src) as image:
            if prepare is not None:
                prepare(image)
            image.load()
            if get_orientation(image) != 1:
                ImageOps.exif_transpose(image, in_place=True)
            return to_rgb(image)
    except UnidentifiedImageError as error:  # its own message shows where the bytes lie in memory
        raise OSError("its content is of no known picture format") from error
    except DECODER_ERRORS as error:
        raise OSError(f"cannot decode the picture: {error}") from error


def imread_cv2(im_src: TImSource) -> np.ndarray:
    """
    Read a picture as an RGB array (H, W, 3), uint8: the pixels of `imread_pillow`, with its rules and errors.

    The name is kept for scripts that use it; OpenCV is not needed.
    """
    return np.array(imread_pillow(im_src))


def try_to_open_image(im_path: Path | str, f_imread: TImReader = imread_pillow) -> bool:
    """
    Tell whether the reader makes a picture of the file.

    A reader says that a file is broken by OSError (so a missing file counts as broken), ValueError, one of the
    other errors of Pillow's decoders, or by returning None, as OpenCV does.
    """
    try:
        return f_imread(im_path) is not None
    except (OSError, *DECODER_ERRORS):
        return False


def find_broken_images(
    images_list: Sequence[Path | str], f_imread: TImReader = imread_pillow, num_processes: int = 10
) -> list[Path | str]:
    """
    List the files that are missing or cannot be read as pictures, in the given order.

    Each file is decoded completely, so truncated ones are found.

    Args:
        images_list: Paths. None give an empty list.
        f_imread: The reader that decides, see `try_to_open_image`.
        num_processes: How many files are read at the same time. These are threads: decoders of Pillow and OpenCV run
            in parallel in them, and any reader works, lambdas included.

    Raises:
        InvalidInputError: `num_processes` is less than 1.

    Example:
        >>> find_broken_images(["no/such/file.jpg"])
        ['no/such/file.jpg']

    """
    check(num_processes >= 1, f"`num_processes` must be at least 1, got {num_processes}.")
    paths = list(images_list)
    with ThreadPool(min(num_processes, max(len(paths), 1))) as pool:
        is_fine = pool.imap(lambda path: try_to_open_image(path, f_imread), paths, chunksize=16)
        return [path for path, fine in zip(paths, is_fine, strict=True) if not fine]


def draw_bbox(im: np.ndarray, bbox: TBBox, color: TColor = BLACK) -> np.ndarray:
    """
    Draw a frame inside the borders of a box; give a new picture.

    The frame is 5 % of the picture's mean side thick, and 3 pixels at least.

    Args:
        im: A picture (H, W, 3), uint8.
        bbox: Left, top, right, bottom in pixels, right and bottom not included; parts outside the picture are left out.
        color: The colour of the frame.

    Example:
        >>> framed = draw_bbox(np.full((10, 10, 3), 255, dtype=np.uint8), (0, 0, 10, 10), color=(0, 0, 0))
        >>> framed[:, :, 0].tolist()[2:4]
        [[0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 255, 255, 255, 255, 0, 0, 0]]

    """
    height, width = im.shape[:2]
    thickness = max(3, round(0.05 * (height + width) / 2))
    left, top, right, bottom = clip_bbox(bbox, width, height)
    framed = im.copy()
    framed[top:bottom, left:right] = color
    inside = (
        slice(top + thickness, max(bottom - thickness, top + thickness)),
        slice(left + thickness, max(right - thickness, left + thickness)),
    )
    framed[inside] = im[inside]
    return framed


def clip_bbox(bbox: TBBox, width: int, height: int) -> TBBox:
    """
    Keep the part of a box (left, top, right, bottom) that lies inside a picture; it may be empty.

    Example:
        >>> clip_bbox((-3, 2, 30, 8), width=20, height=10)
        (0, 2, 20, 8)

    """
    left, top, right, bottom = (int(value) for value in bbox)
    left, top = min(max(left, 0), width), min(max(top, 0), height)
    return left, top, max(min(right, width), left), max(min(bottom, height), top)


def square_pad(img: np.ndarray) -> np.ndarray:
    """
    Pad the shorter side of a picture (H, W, 3) or (H, W), uint8, with white on both ends, so that it becomes square.

    Example:
        >>> square_pad(np.zeros((2, 4), dtype=np.uint8))[:, 0].tolist()
        [255, 0, 0, 255]

    """
    height, width = img.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    padded = np.full((side, side, *img.shape[2:]), PAD_COLOR[0], dtype=img.dtype)
    padded[top : top + height, left : left + width] = img
    return padded


def tensor_to_numpy_image(img: Tensor) -> np.ndarray:
    """
    Give a tensor (C, H, W) as a picture (H, W, C), uint8, to look at.

    uint8 is taken as it is; numbers in 0..1 are multiplied by 255; other numbers (a normalised picture) are stretched
    from their smallest and largest value to 0..255.

    Raises:
        InvalidInputError: the tensor does not have three dimensions.

    Example:
        >>> tensor_to_numpy_image(torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1)).tolist()
        [[[0, 128, 255]]]

    """
    check(img.ndim == 3, f"`img` must have the shape (C, H, W), got {tuple(img.shape)}: take one item of the batch.")
    img = img.detach().cpu().permute(1, 2, 0)
    if img.dtype != torch.uint8 and img.numel() > 0:
        img = img.float()
        low, high = img.min(), img.max()
        if low < 0 or high > 1:
            img = (img - low) / (high - low).clamp(min=torch.finfo(img.dtype).tiny)
        img = (255 * img).round().to(torch.uint8)
    return img.contiguous().numpy()


def figure_to_nparray(fig: Figure) -> np.ndarray:
    """
    Render a matplotlib figure at its own resolution as an RGB picture (H, W, 3), uint8.

    Example:
        >>> from matplotlib.figure import Figure
        >>> figure_to_nparray(Figure(figsize=(2, 1), dpi=50)).shape
        (50, 100, 3)

    """
    buffer = BytesIO()
    fig.savefig(buffer, format="png", dpi="figure")
    return imread_cv2(buffer.getvalue())

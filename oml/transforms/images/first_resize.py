"""What size a transform makes of a picture first, where it begins with a resize."""

from collections.abc import Callable
from typing import Any

TSize = tuple[float, float]  # width, height
TGetSize = Callable[[float, float], TSize]

HARMLESS = ("ToRGB", "RGB", "Identity")  # steps that leave each pixel where it is
SMOOTH = ("bilinear", "bicubic", "lanczos", "box", "hamming")


def find_first_resize(transform: Any) -> TGetSize | None:
    """
    Give a function from a picture's width and height to those that the transform resizes it to, before all else.

    None if the transform does not begin with torchvision's `Resize` (of either version), or resizes without smoothing.

    Example:
        >>> from oml.transforms.images.torchvision import get_normalisation_resize_hypvit
        >>> find_first_resize(get_normalisation_resize_hypvit(im_size=224))(4000, 2000)
        (448.0, 224.0)

    """
    steps = getattr(transform, "transforms", None)
    for step in [transform] if steps is None else steps:
        kind = type(step)
        if kind.__name__ in HARMLESS:
            continue
        is_resize = kind.__name__ == "Resize" and kind.__module__.startswith("torchvision.transforms")
        return _read_resize(step) if is_resize else None
    return None


def _read_resize(step: Any) -> TGetSize | None:
    size = step.size
    interpolation = getattr(step.interpolation, "value", step.interpolation)
    if size is None or step.max_size is not None or interpolation not in SMOOTH or step.antialias is False:
        return None
    sides = [size] if isinstance(size, int) else list(size)
    if len(sides) == 2:
        return lambda width, height: (float(sides[1]), float(sides[0]))

    def get_size(width: float, height: float) -> TSize:
        scale = sides[0] / min(width, height)
        return width * scale, height * scale

    return get_size

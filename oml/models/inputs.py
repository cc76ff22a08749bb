"""Checks of what is given to an extractor."""

from torch import Tensor

from oml.errors import check


def check_images(images: Tensor, n_channels: int, owner: str) -> None:
    """
    Raise unless the images are a batch (B, C, H, W) with the number of channels that the network takes.

    Args:
        images: What was given to the network.
        n_channels: The number of channels C that the network takes.
        owner: The name of the model, for the message.

    Raises:
        InvalidInputError: another number of dimensions or of channels.

    """
    shape = list(images.shape)
    check(
        len(shape) == 4,
        f"{owner} takes a batch of images (B, C, H, W), got the shape {shape}. "
        f"Add the batch dimension of a single image with image[None].",
    )
    check(
        shape[1] == n_channels,
        f"{owner} takes images with {n_channels} channel(s), got the shape {shape}. "
        f"Read images as {'RGB' if n_channels == 3 else 'greyscale' if n_channels == 1 else 'the model expects'}, "
        f"for example with PIL.Image.convert({'L' if n_channels == 1 else 'RGB'!r}).",
    )

"""The transform of a bundle: written as text, made again, and proved to give the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oml.bundles.decoding import Trust, decode
from oml.bundles.encoding import encode
from oml.bundles.pretrained import TOKENIZER_FOLDER, is_tokenizer, load_tokenizer, save_tokenizer
from oml.const import DEFAULT_SAMPLE_RATE, MAX_AUDIO_LEN
from oml.errors import InvalidInputError, check, unknown_name_message
from oml.interfaces.models import IExtractor

IMAGE, TEXT, AUDIO = "image", "text", "audio"
MODALITIES = (IMAGE, TEXT, AUDIO)
MAX_LENGTH = 128  # tokens, as in the data sets of texts
_TOKENIZER = "$tokenizer"
# Where nothing is drawn from the known generators, there may be others; where something is, it may matter rarely.
_N_TRIALS, _N_TRIALS_OF_DRAWS = 6, 40
_SIDE = 224
_TEXT = "The quick brown fox jumps over the lazy dog, and 2 more of them."


def find_modality(transform: Any, modality: str | None) -> str:
    """
    Give what the items are: as said, or what the transform takes.

    Raises:
        InvalidInputError: an unknown name, or none where there is no transform.

    """
    if modality is not None:
        check(modality in MODALITIES, unknown_name_message("modality", modality, MODALITIES))
        return modality
    if is_tokenizer(transform):
        return TEXT
    check(
        transform is not None,
        "There is no transform, so say what the extractor takes: modality='audio' (waveforms), 'text' or 'image'.",
    )
    return IMAGE


def describe_transform(transform: Any, folder: Path) -> Any:
    """
    Give a transform as plain JSON; the files of a tokenizer are written into the folder.

    Raises:
        InvalidInputError: the transform cannot be written down; the message tells what to do.

    """
    if is_tokenizer(transform):
        save_tokenizer(transform, folder)
        return {_TOKENIZER: TOKENIZER_FOLDER}
    return encode(transform, "transform")


def build_transform(spec: Any, folder: Path, trust: Trust) -> Any:
    """
    Make the transform that `describe_transform` has described.

    Raises:
        InvalidInputError: it names a class of a module that is not trusted, or cannot be made.

    """
    if isinstance(spec, Mapping) and _TOKENIZER in spec:
        return load_tokenizer(folder)
    return decode(spec, trust, "transform")


def make_example(modality: str, extractor: IExtractor, dataset_args: Mapping[str, Any]) -> Any:
    """
    Give an item on which two extractors or transforms are compared, always the same one.

    Pictures are noise of the size that the extractor was made for (`im_size`), or 224 x 224; waveforms are as long as
    those of the data sets.
    """
    generator = np.random.default_rng(0)
    if modality == TEXT:
        return _TEXT
    if modality == AUDIO:
        seconds = dataset_args.get("max_num_seconds", MAX_AUDIO_LEN) or MAX_AUDIO_LEN
        n_samples = int(seconds * dataset_args.get("sample_rate", DEFAULT_SAMPLE_RATE))
        return torch.from_numpy(generator.standard_normal((1, n_samples)).astype(np.float32)) / 10
    side = getattr(extractor, "im_size", None)
    side = side if isinstance(side, int) else _SIDE
    return make_picture(side, side)


def make_picture(height: int, width: int) -> Any:
    """Give a picture of Pillow with coarse and fine patterns, always the same one."""
    from PIL import Image

    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    picture = np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR), dtype=np.int16)
    noisy = picture + generator.integers(-40, 41, picture.shape, dtype=np.int16)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def to_batch(transform: Any, modality: str, item: Any, dataset_args: Mapping[str, Any]) -> Any:
    """Give an item, transformed, as a batch of one."""
    if modality == TEXT:
        length = dataset_args.get("max_length", MAX_LENGTH)
        tokens = transform(item, truncation=True, padding="max_length", max_length=length, return_tensors="pt")
        return {key: value.reshape(1, -1) for key, value in dict(tokens).items()}
    tensor = item if transform is None else apply(transform)(item)
    return tensor[None]


def apply(transform: Callable[..., Any]) -> Callable[[Any], Tensor]:
    """Give the transform as a function of a picture, however it is called."""
    from oml.transforms.images.utils import is_called_by_keyword

    if is_called_by_keyword(transform):
        return lambda item: transform(image=np.asarray(item))["image"]
    return transform


def _read_generators() -> tuple[Any, ...]:
    """Give what tells whether somebody drew numbers from the generators of torch, numpy and Python."""
    _, numbers, position, *_ = np.random.get_state()
    return torch.get_rng_state().tolist(), np.asarray(numbers).tolist(), position, random.getstate()


def check_same_transform(transform: Any, rebuilt: Any) -> None:
    """
    Compare two transforms of pictures on a picture that is neither square nor small.

    Raises:
        InvalidInputError: the first one draws at random, or the second one gives other pixels.

    """
    picture = make_picture(height=301, width=403)
    generators = _read_generators()
    expected = apply(transform)(picture)
    n_trials = _N_TRIALS if _read_generators() == generators else _N_TRIALS_OF_DRAWS
    check(
        isinstance(expected, Tensor),
        f"transform must give a tensor (C, H, W), got {type(expected).__name__}. End it with ToTensor and Normalize.",
    )
    again = [apply(transform)(picture) for _ in range(n_trials)]
    check(
        all(torch.equal(expected, tensor) for tensor in again),
        "transform gives another result each time: it is made for training. Give the one of validation, which the "
        "extractor is used with.",
    )
    found = apply(rebuilt)(picture)
    if found.shape != expected.shape or not torch.equal(found, expected):
        raise InvalidInputError(
            f"transform cannot be written down: made again from its constructor's arguments it gives other pixels. A "
            f"part of it keeps an option under another name than its argument. Transform: {transform!r}. "
            "Use a transform of oml.transforms, or write that part as a class which keeps each argument as an "
            "attribute."
        )

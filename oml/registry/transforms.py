"""Image transforms by name, and those that published checkpoints were made for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from oml.const import TCfg
from oml.errors import unknown_name_message
from oml.models.zoo import ZOO
from oml.registry.registry import Registry, TConstructor
from oml.transforms.images.utils import TTransforms, get_im_reader_for_transforms, is_called_by_keyword
from oml.utils.images.images import TImReader
from oml.utils.io import atomic_path

_ALBU = "oml.transforms.images.albumentations"
_TORCH = "oml.transforms.images.torchvision"

_ALBU_ENTRIES: dict[str, TConstructor | str] = {
    "norm_albu": f"{_ALBU}:get_normalisation_albu",
    "norm_resize_albu": f"{_ALBU}:get_normalisation_resize_albu",
    "norm_resize_albu_clip": f"{_ALBU}:get_normalisation_resize_albu_clip",
}
_TORCH_ENTRIES: dict[str, TConstructor | str] = {
    "augs_torch": f"{_TORCH}:get_augs_torch",
    "norm_torch": f"{_TORCH}:get_normalisation_torch",
    "norm_resize_torch": f"{_TORCH}:get_normalisation_resize_torch",
    "augs_hypvit_torch": f"{_TORCH}:get_augs_hypvit",
    "norm_resize_hypvit_torch": f"{_TORCH}:get_normalisation_resize_hypvit",
    "unicom_transforms": f"{_TORCH}:get_normalisation_resize_unicom",
}

TRANSFORMS_ALBU = Registry("transform", _ALBU_ENTRIES)
TRANSFORMS_TORCH = Registry("transform", _TORCH_ENTRIES)
TRANSFORMS_REGISTRY = Registry("transform", _ALBU_ENTRIES | _TORCH_ENTRIES)


def get_transforms(name: str, **kwargs: Any) -> TTransforms:
    """
    Build a transform by its name in `TRANSFORMS_REGISTRY`.

    Raises:
        KeyError: the name is unknown; the message names the nearest ones.
        TypeError: the transform does not take an argument, or lacks one.

    Example:
        >>> get_transforms("norm_resize_albu", im_size=224)
        FitAndNormalise(im_size=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))

    """
    transform: TTransforms = TRANSFORMS_REGISTRY.build(name, **kwargs)
    return transform


def get_transforms_by_cfg(cfg: TCfg) -> TTransforms:
    """
    Build the transform that a config `{"name": ..., "args": {...}}` describes.

    Raises:
        InvalidInputError: the config has other keys.
        KeyError: the name is unknown; the message names the nearest ones.
        TypeError: the transform does not take an argument, or lacks one.

    """
    transform: TTransforms = TRANSFORMS_REGISTRY.build_by_cfg(cfg)
    return transform


def get_transforms_for_pretrained(weights: str) -> tuple[TTransforms, TImReader]:
    """
    Build the transform that a published checkpoint was made for; give it with the reader of what it takes.

    Args:
        weights: A key of the `pretrained_models` of an image extractor, such as "vits16_dino".

    Raises:
        KeyError: no transform is known for the checkpoint; the message names the nearest ones.

    Example:
        >>> transform, im_reader = get_transforms_for_pretrained("vits16_cub")
        >>> transform.im_size, im_reader.__name__
        (224, 'imread_cv2')

    """
    known = {key: checkpoint.transform for key, checkpoint in ZOO.items() if checkpoint.transform}
    if weights not in known:
        raise KeyError(unknown_name_message("checkpoint of images", weights, list(known)))
    name, kwargs = known[weights]
    transform = get_transforms(name, **kwargs)
    return transform, get_im_reader_for_transforms(transform)


def save_transforms_as_files(cfg: TCfg) -> list[tuple[str, str]]:
    """
    Write down the transforms of the albumentations kind that a config describes, so that a run can keep them.

    For each key with "transforms" in it whose transform is called as albumentations' pipelines are and has `to_dict`
    (theirs and ours have), the file `{key}.yaml` is written to the folder `.hydra` if it exists, else to the current
    one.

    Args:
        cfg: A config of a whole run.

    Returns:
        Keys and paths of the files; keys of other transforms are left out.

    """
    folder = Path(".hydra") if Path(".hydra").is_dir() else Path()
    files = []
    for key, value in cfg.items():
        if "transforms" not in str(key):
            continue
        transform = get_transforms_by_cfg(value)
        if is_called_by_keyword(transform) and hasattr(transform, "to_dict"):
            path = folder / f"{key}.yaml"
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps(transform.to_dict(), indent=2, default=str))  # JSON is YAML, too
            files.append((str(key), str(path)))
    return files

"""An extractor with its transform and all that is known about it, as one folder."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple
from warnings import warn

import torch
from torch import Tensor

from oml.bundles.card import Card, describe_drift, encode_metrics, find_versions
from oml.bundles.decoding import Trust, decode
from oml.bundles.description import FORMAT, FORMAT_VERSION, read_card, read_description, write_description
from oml.bundles.encoding import encode, encode_plain
from oml.bundles.files import (
    CARD_FILE,
    WEIGHTS_FILE,
    check_files,
    describe_file,
    list_files,
    read_weights,
    write_weights,
)
from oml.bundles.hub import HUB_PREFIX, pull_bundle
from oml.bundles.preprocessing import (
    IMAGE,
    build_transform,
    check_same_transform,
    describe_transform,
    find_modality,
    make_example,
    to_batch,
)
from oml.errors import InvalidInputError, check
from oml.inference.loop import move_to_device
from oml.interfaces.models import IExtractor
from oml.models.meta.two_towers import TwoTowerExtractor
from oml.utils.io import atomic_path
from oml.utils.misc_torch import get_device, temporary_setting_model_mode

_TOLERANCE = 1e-4  # of the largest number: another memory format or device rounds otherwise


class Bundle(NamedTuple):
    """
    What `load_bundle` gives.

    Attributes:
        extractor: In evaluation mode, on CPU.
        transform: From an image of Pillow to a tensor, or a tokenizer; None for waveforms.
        card: What is known about them.

    """

    extractor: IExtractor
    transform: Any
    card: Card


def save_bundle(
    folder: Path | str,
    extractor: IExtractor,
    transform: Any,
    metrics: Mapping[Any, Any] | None = None,
    threshold: float | None = None,
    config: Any = None,
    labels: Any = None,
    dataset_args: Mapping[str, Any] | None = None,
    license: str | None = None,
    modality: str | None = None,
    example: Any = None,
    overwrite: bool = False,
) -> Path:
    """
    Write an extractor, its transform and what is known about them to a folder, as a whole or not at all.

    The folder has `weights.safetensors`, `bundle.json` and a model card, `README.md`. Before it takes its place it is
    loaded again, and must give the same pixels and the same embedding for an example.

    Args:
        folder: Where to; missing parents are made.
        extractor: Its class must be importable and keep the arguments of its constructor, see
            `IExtractor.get_init_args`.
        transform: The transform of validation: of torchvision (both versions), timm or `oml.transforms`, an object of
            your own class that keeps its arguments as attributes, or a tokenizer of transformers; None for waveforms.
        metrics: Values by name, as `oml.metrics.evaluate` gives them, with `ci=True` with intervals.
        threshold: The largest distance at which an answer counts.
        config: How it was trained: plain values and containers of them.
        labels: What the labels mean, such as names by number.
        dataset_args: Arguments of the data sets that belong to the preprocessing: `max_length` of texts, `sample_rate`
            of audio.
        license: A licence as the Hugging Face hub writes it, such as `apache-2.0`.
        modality: `image`, `text` or `audio`; by default what the transform tells.
        example: An item that the transform takes; by default a generated one.
        overwrite: Whether a bundle that is there may be replaced, with all that is in its folder.

    Returns:
        The folder.

    Raises:
        FileExistsError: there is something already: anything, or with `overwrite` what is neither a bundle nor an empty
            folder.
        InvalidInputError: the extractor or the transform cannot be written down, or does not come back the same.

    Example:
        >>> import tempfile
        >>> from oml.models import ConvExtractor
        >>> from oml.transforms.images.torchvision import get_normalisation_resize_torch
        >>> extractor = ConvExtractor(im_size=16, channels=(4, 8), feat_dim=5).eval()
        >>> with tempfile.TemporaryDirectory() as root:
        ...     folder = save_bundle(f"{root}/bundle", extractor, get_normalisation_resize_torch(16), {"cmc@1": 0.9})
        ...     _, transform, card = load_bundle(folder)
        >>> card.metrics, card.feat_dim, transform.transforms[1].size
        ({'cmc@1': 0.9}, 5, [16, 16])

    """
    _check_extractor(extractor)
    final = Path(folder).absolute()
    _check_place(final, overwrite)
    modality = find_modality(transform, modality)
    _check_options(metrics, dataset_args, threshold, license)
    args = dict(dataset_args or {})
    with atomic_path(final, replace_folder=overwrite) as temporary:
        temporary.mkdir()
        content = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "modality": modality,
            "extractor": encode(extractor, "extractor"),
            "registry_name": _find_registry_name(extractor),
            "transform": describe_transform(transform, temporary),
            "feat_dim": extractor.feat_dim,
            "threshold": None if threshold is None else float(threshold),
            "metrics": encode_metrics(metrics or {}),
            "labels": encode_plain(labels, "labels"),
            "config": encode_plain(config, "config"),
            "dataset_args": encode_plain(args, "dataset_args"),
            "license": license,
            "versions": find_versions(),
        }
        write_weights(extractor, temporary / WEIGHTS_FILE)
        content["files"] = {name: describe_file(temporary / name) for name in list_files(temporary)}
        write_description(temporary, content, final.name)
        _check_round_trip(temporary, extractor, transform, modality, example, args)
    return final


def load_bundle(folder: Path | str, trusted_modules: Iterable[str] = (), revision: str | None = None) -> Bundle:
    """
    Give the extractor, the transform and the card that `save_bundle` has written.

    Nothing in the folder is run, and nothing is fetched: classes are imported only from `oml.models`, `oml.transforms`,
    torchvision's and timm's transforms, transformers, and the modules that you trust. Warns once where libraries are of
    other versions than at writing.

    Args:
        folder: The folder, or `"hf://owner/name"` for a repository of the Hugging Face hub.
        trusted_modules: Modules and packages of your own whose classes the bundle may name.
        revision: Of the repository: a branch, a tag or a commit.

    Raises:
        FileNotFoundError: there is no such folder, or a file is missing from it.
        InvalidInputError: the folder is no bundle, of a later format, damaged, or names a class that is not trusted.

    """
    if str(folder).startswith(HUB_PREFIX):
        folder = pull_bundle(str(folder).removeprefix(HUB_PREFIX), revision=revision)
    folder = Path(folder)
    bundle = _read(folder, Trust(trusted_modules))
    drift = describe_drift(bundle.card.versions)
    if drift:
        warn(
            f"The bundle {folder} was written with other versions of libraries, which may calculate otherwise: {drift}."
            " Validate it again (oml validate), or install those versions.",
            UserWarning,
            stacklevel=2,
        )
    return bundle


def update_metrics(folder: Path | str, metrics: Mapping[Any, Any]) -> None:
    """Put new metrics in the place of those of a bundle; weights and all else stay as they are."""
    content = read_description(Path(folder))
    content["metrics"] = encode_metrics(metrics)
    write_description(Path(folder), content, Path(folder).absolute().name)


def _check_extractor(extractor: Any) -> None:
    if isinstance(extractor, TwoTowerExtractor):
        raise TypeError(
            "extractor must be one tower of a TwoTowerExtractor, since the two take items of different kinds. Save "
            "towers.query with its transform and towers.gallery with its own, as two bundles; their space stays one."
        )
    if not isinstance(extractor, IExtractor):
        raise TypeError(
            f"extractor must be an IExtractor, got {type(extractor).__name__}. Make it a subclass, or give the "
            "extractor within it: `extractor` of a pairwise model, `_orig_mod` of what torch.compile gives."
        )


def _check_options(metrics: Any, dataset_args: Any, threshold: Any, license_: Any) -> None:
    for name, value in {"metrics": metrics, "dataset_args": dataset_args}.items():
        check(
            value is None or isinstance(value, Mapping),
            f"{name} must be a mapping, got {value!r}. Give values by name.",
        )
    is_distance = isinstance(threshold, Real) and not isinstance(threshold, bool) and math.isfinite(threshold)
    check(threshold is None or is_distance, f"threshold must be a finite number or None, got {threshold!r}.")
    is_text = license_ is None or isinstance(license_, str)
    check(is_text, f"license must be a text or None, got {license_!r}. Example: 'apache-2.0'.")


def _check_place(final: Path, overwrite: bool) -> None:
    if not overwrite and final.exists():
        raise FileExistsError(f"{final} is there already. Choose another folder, or give overwrite=True to replace it.")
    is_free = not final.exists() or (final.is_dir() and next(final.iterdir(), None) is None)
    if not is_free and not (final / CARD_FILE).is_file():
        raise FileExistsError(
            f"{final} is no bundle, and overwrite=True replaces only bundles, so that nothing of yours is lost. Choose "
            "another folder, or delete it."
        )


def _read(folder: Path, trust: Trust) -> Bundle:
    content = read_description(folder)
    check_files(folder, content["files"])
    extractor = decode(content["extractor"], trust, "extractor")
    check(isinstance(extractor, IExtractor), f"{folder} names a {type(extractor).__name__} as the extractor.")
    read_weights(extractor, folder)
    transform = build_transform(content["transform"], folder, trust)
    check(transform is None or callable(transform), f"{folder} names a {type(transform).__name__} as the transform.")
    card = read_card(content)
    check(
        extractor.feat_dim == card.feat_dim,
        f"The extractor of {folder} gives {extractor.feat_dim} features, but its {CARD_FILE} tells {card.feat_dim}. It "
        "was changed: fetch or save the bundle again.",
    )
    return Bundle(extractor.eval(), transform, card)


def _find_registry_name(extractor: IExtractor) -> str | None:
    from oml.registry.models import EXTRACTORS_REGISTRY

    return next((name for name in EXTRACTORS_REGISTRY if EXTRACTORS_REGISTRY[name] is type(extractor)), None)


def _check_round_trip(
    folder: Path, extractor: IExtractor, transform: Any, modality: str, example: Any, dataset_args: dict[str, Any]
) -> None:
    rebuilt, transform_again, _ = _read(folder, Trust(None))
    if modality == IMAGE and transform is not None:
        check_same_transform(transform, transform_again)
    item = make_example(modality, extractor, dataset_args) if example is None else example
    device = get_device(extractor)
    try:
        batches = [to_batch(t, modality, item, dataset_args) for t in (transform, transform_again)]
        expected, found = (_embed(e, batch, device) for e, batch in zip((extractor, rebuilt), batches, strict=True))
    except (ValueError, RuntimeError, TypeError, LookupError) as error:
        raise InvalidInputError(
            f"The extractor cannot take what the transform gives for an example of the modality {modality!r}: {error} "
            "Let the transform resize pictures to what the extractor takes, give the modality= that they are for, or "
            "an item that they work for as example=."
        ) from error
    check(
        bool(expected.isfinite().all()),
        "The extractor gives embeddings that are not finite for an example, so it is of no use: its training has "
        "diverged, or its numbers are too large for its dtype. Save an earlier state of it.",
    )
    difference = (found - expected).abs().max().item() if found.shape == expected.shape else float("inf")
    check(
        difference <= _TOLERANCE * max(expected.abs().max().item(), 1.0),
        f"The extractor, made again from bundle.json, gives another embedding for an example (it differs by "
        f"{difference:.2g}). {type(extractor).__name__}.get_init_args() must give the options as they are now: "
        f"{extractor.get_init_args()}.",
    )


def _embed(extractor: IExtractor, batch: Any, device: str) -> Tensor:
    parameter = next(extractor.parameters(), None)
    if isinstance(batch, Tensor) and parameter is not None:
        batch = batch.to(parameter.dtype)
    with temporary_setting_model_mode(extractor, set_train=False), torch.no_grad():
        features: Tensor = extractor.to(device)(move_to_device(batch, device))
        return features.float().cpu()

"""What lies in `bundle.json`: checked when it is read, since it may come from a stranger; and its writing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any

from oml.bundles.card import ESTIMATE_KEYS, Card, decode_metrics, write_model_card
from oml.bundles.decoding import decode_plain
from oml.bundles.files import CARD_FILE, README_FILE
from oml.bundles.preprocessing import MODALITIES
from oml.errors import InvalidInputError, check, unknown_name_message
from oml.utils.io import atomic_path

FORMAT, FORMAT_VERSION = "oml-bundle", 1
_KEYS = ("format", "format_version", "modality", "extractor", "transform", "feat_dim", "files")
_MAX_DEPTH = 100  # of values in values; extractors in extractors are far below
_AGAIN = "Fetch or save the bundle again."


def read_description(folder: Path) -> dict[str, Any]:
    """
    Give the content of `bundle.json`, whose entries are of the right types.

    Raises:
        FileNotFoundError: there is no such file.
        InvalidInputError: it is damaged, of another format or a later version of it, or an entry makes no sense.

    """
    path = folder / CARD_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} is no bundle: there is no file {path}. Write one with oml.save_bundle, or give its folder."
        )
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path} is cut off or damaged: {error}. {_AGAIN}") from error
    check(
        isinstance(content, dict) and content.get("format") == FORMAT,
        f"{path} is no description of a bundle: 'format' must be {FORMAT!r}. Write one with oml.save_bundle.",
    )
    number, versions = content.get("format_version"), content.get("versions") or {}
    writer = versions.get("open-metric-learning", "unknown") if isinstance(versions, dict) else "unknown"
    check(
        number == FORMAT_VERSION,
        f"{path} has the format version {number!r}, this OML reads {FORMAT_VERSION}. Install the version of OML that "
        f"the bundle was written with: {writer}.",
    )
    missing = [key for key in _KEYS if key not in content]
    check(not missing, f"{path} lacks {', '.join(missing)}. {_AGAIN}")
    check(_calc_depth(content) <= _MAX_DEPTH, f"{path} has values more than {_MAX_DEPTH} deep in values. {_AGAIN}")
    check(content["modality"] in MODALITIES, unknown_name_message("modality", content["modality"], MODALITIES))
    _check_types(content, path)
    return dict(content)


def read_card(content: Mapping[str, Any]) -> Card:
    """Give the card that the content of `bundle.json` tells."""
    return Card(
        modality=content["modality"],
        feat_dim=content["feat_dim"],
        metrics=decode_metrics(content.get("metrics") or {}),
        threshold=content.get("threshold"),
        labels=decode_plain(content.get("labels"), "labels"),
        config=decode_plain(content.get("config"), "config"),
        dataset_args=decode_plain(content.get("dataset_args") or {}, "dataset_args"),
        license=content.get("license"),
        versions=content.get("versions") or {},
        files=content["files"],
    )


def write_description(folder: Path, content: dict[str, Any], name: str) -> None:
    """Write `bundle.json` and the model card."""
    card = read_card(content)
    extractor = json.dumps(content["extractor"], indent=2)
    texts = {CARD_FILE: json.dumps(content, indent=2, ensure_ascii=False) + "\n"}
    texts[README_FILE] = write_model_card(name, card, extractor)
    for file, text in texts.items():
        with atomic_path(folder / file) as path:
            path.write_text(text, encoding="utf-8")


def _check_types(content: Mapping[str, Any], path: Path) -> None:
    rules = {
        "feat_dim": (_is_count, "a positive whole number"),
        "threshold": (_is_threshold, "a number or null"),
        "metrics": (_are_metrics, "numbers by name, or means with intervals of two numbers"),
        "dataset_args": (_is_mapping, "a mapping"),
        "license": (_is_text, "a text or null"),
        "versions": (_are_texts, "texts by name"),
    }
    for key, (is_right, rule) in rules.items():
        value = content.get(key)
        check(is_right(value), f"{path}: {key!r} must be {rule}, got {str(value)[:200]}. {_AGAIN}")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_threshold(value: Any) -> bool:
    return value is None or _is_number(value)


def _is_mapping(value: Any) -> bool:
    return value is None or isinstance(value, dict)


def _is_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _are_texts(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and all(isinstance(text, str) for text in value.values()))


def _are_metrics(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and all(map(_is_metric, value.values())))


def _is_metric(value: Any) -> bool:
    if not isinstance(value, dict):
        return _is_number(value)
    if set(value) != ESTIMATE_KEYS:
        return _are_metrics(value)
    return (
        _is_number(value["mean"]) and _is_interval(value["over_queries"]) and _is_interval(value["over_labels"], True)
    )


def _is_interval(value: Any, is_optional: bool = False) -> bool:
    return (value is None and is_optional) or (
        isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))
    )


def _calc_depth(content: Any) -> int:
    depth, level = 0, [content]
    while level:
        inner = [value.values() if isinstance(value, dict) else value for value in level]
        level = [item for values in inner for item in values if isinstance(item, dict | list)]
        depth += 1
    return depth

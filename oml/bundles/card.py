"""What a bundle says about itself: to programs (`Card`) and to people (a model card in Markdown)."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from oml.errors import InvalidInputError
from oml.metrics.confidence import Estimate, Interval

_LIBRARIES = ("open-metric-learning", "torch", "torchvision", "timm", "transformers", "safetensors", "numpy", "pillow")
_TASKS = {"image": "image-feature-extraction", "text": "feature-extraction", "audio": "feature-extraction"}
ESTIMATE_KEYS = {"mean", "over_queries", "over_labels"}
_MAPS = {
    "image": "pictures",
    "text": "texts",
    "audio": "recordings",
}


@dataclass(frozen=True)
class Card:
    """
    What is known about a bundle's extractor.

    Attributes:
        modality: `image`, `text` or `audio`.
        feat_dim: The number of features D.
        metrics: Values by name, as `oml.metrics.evaluate` gives them: numbers or `Estimate`s, also by category.
        threshold: The largest distance at which an answer counts, or None.
        labels: What the labels mean, if said.
        config: How the extractor was trained, if said.
        dataset_args: Arguments of data sets that belong to the preprocessing, such as `max_length`.
        license: Of the weights, if said.
        versions: Of the libraries that the bundle was written with.
        files: Bytes and SHA-256 of each file by its name.

    """

    modality: str
    feat_dim: int
    metrics: dict[str, Any] = field(default_factory=dict)
    threshold: float | None = None
    labels: Any = None
    config: Any = None
    dataset_args: dict[str, Any] = field(default_factory=dict)
    license: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)


def find_versions() -> dict[str, str]:
    """Give the versions of Python and of the libraries that are installed."""
    versions = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:  # optional
            continue
    return versions


def describe_drift(written: Mapping[str, str]) -> str | None:
    """
    Say which libraries are of another version (its first two numbers) than at writing, None if none is.

    Example:
        >>> describe_drift({"python": "2.7.18"})  # doctest: +ELLIPSIS
        'python 2.7.18 -> 3...'

    """
    now = find_versions()
    drifted = [
        f"{name} {old} -> {now.get(name, 'not installed')}"
        for name, old in written.items()
        if now.get(name, "").split(".")[:2] != old.split(".")[:2] and (name in now or name == "transformers")
    ]
    return ", ".join(drifted) or None


def encode_metrics(metrics: Mapping[Any, Any]) -> dict[str, Any]:
    """
    Give metrics as plain values.

    Raises:
        InvalidInputError: a value is neither a number nor an `Estimate` nor a mapping of these.

    Example:
        >>> encode_metrics({"cmc@1": Estimate(0.5, Interval(0.25, 0.75), None)})
        {'cmc@1': {'mean': 0.5, 'over_queries': [0.25, 0.75], 'over_labels': None}}

    """
    encoded: dict[str, Any] = {}
    for name, value in metrics.items():
        if isinstance(value, Estimate):
            labels = None if value.over_labels is None else list(value.over_labels)
            encoded[str(name)] = {"mean": value.mean, "over_queries": list(value.over_queries), "over_labels": labels}
        elif isinstance(value, Mapping):
            encoded[str(name)] = encode_metrics(value)
        else:
            try:
                encoded[str(name)] = float(value)
            except (TypeError, ValueError, RuntimeError) as error:
                raise InvalidInputError(
                    f"metrics[{name!r}] must be a number or an Estimate, got {value!r}. Give means."
                ) from error
    return encoded


def decode_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Give back what `encode_metrics` has made plain."""
    decoded: dict[str, Any] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping) and set(value) == ESTIMATE_KEYS:
            labels = value["over_labels"]
            over_labels = None if labels is None else Interval(*labels)
            decoded[name] = Estimate(value["mean"], Interval(*value["over_queries"]), over_labels)
        else:
            decoded[name] = decode_metrics(value) if isinstance(value, Mapping) else value
    return decoded


def write_model_card(name: str, card: Card, extractor: str) -> str:
    """
    Give the model card: front matter that the Hugging Face hub understands, then what people want to know.

    Args:
        name: Of the model.
        card: What is known.
        extractor: The class and its arguments, as text.

    """
    from huggingface_hub import EvalResult, ModelCardData

    overall = card.metrics.get("OVERALL", card.metrics)
    task = _TASKS[card.modality]
    results = [
        EvalResult(task, "private", "validation", metric, float(value.mean if isinstance(value, Estimate) else value))
        for metric, value in overall.items()
        if not isinstance(value, Mapping)
    ]
    data = ModelCardData(
        library_name="open-metric-learning",
        pipeline_tag=task,
        tags=["metric-learning", "embeddings", "retrieval"],
        license=card.license,
        model_name=name if results else None,
        eval_results=results or None,
    )
    lines = [f"# {name}", "", f"Gives embeddings of {card.feat_dim} features for {_MAPS[card.modality]}.", ""]
    lines += ["```python", "import oml", "", f'extractor, transform, card = oml.load_bundle("{name}")', "```", ""]
    lines += ["## Quality", "", *write_table(overall)]
    if card.threshold is not None:
        lines += [f"An answer counts up to the distance {card.threshold:g}.", ""]
    lines += ["## Model", "", "```", extractor, "```", ""]
    if card.config is not None:
        lines += ["How it was trained is under `config` in `bundle.json`.", ""]
    lines += ["Written with " + ", ".join(f"{k} {v}" for k, v in card.versions.items()) + ".", ""]
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(lines)


def write_table(metrics: Mapping[str, Any]) -> list[str]:
    """Give metrics as the lines of a table in Markdown."""
    rows = ["| metric | value | 95 % interval over queries | over labels |", "|---|---|---|---|"]
    for name, value in metrics.items():
        if isinstance(value, Estimate):
            intervals = [_show(value.over_queries), _show(value.over_labels)]
            rows.append(f"| {name} | {value.mean:.4f} | {' | '.join(intervals)} |")
        elif not isinstance(value, Mapping):
            rows.append(f"| {name} | {value:.4f} | | |")
    return [*rows, ""] if len(rows) > 2 else ["Nothing was measured.", ""]


def _show(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval.low:.4f} to {interval.high:.4f}"

"""What losses with a vector for each class ask of their input."""

from torch import Tensor

from oml.errors import check
from oml.functional.class_labels import check_class_labels
from oml.interfaces.features import check_finite


def check_width(features: Tensor, width: int, like: str) -> None:
    """
    Raise unless the features are floating-point numbers (B, width); the message says that they are as wide as `like`.

    Raises:
        InvalidInputError: they are not.

    """
    check(
        features.ndim == 2 and features.shape[1] == width,
        f"features must be (B, {width}), as wide as {like}, got {tuple(features.shape)}. Make the criterion with "
        "in_features equal to the width of the features.",
    )
    check(features.is_floating_point(), f"features must be floating-point numbers, got {features.dtype}.")


def check_class_input(features: Tensor, weight: Tensor, labels: Tensor, n_classes: int) -> None:
    """
    Raise unless the features (B, D), the vectors of the classes (R, D) and the labels (B,) fit each other.

    Raises:
        InvalidInputError: shapes, types, devices or labels that do not fit, or features that are not finite.

    """
    check_width(features, weight.shape[-1], "the vectors of the classes")
    check(
        features.device == weight.device,
        f"The features are on {features.device}, but the vectors of the classes are on {weight.device}. Move the "
        f"criterion, too: criterion.to({str(features.device)!r}).",
    )
    check(
        labels.device == features.device,
        f"The labels are on {labels.device}, but the features are on {features.device}. Move the labels: "
        f"labels.to({str(features.device)!r}).",
    )
    check_finite(features)
    check_class_labels(labels, n_classes)
    check(
        len(labels) == len(features),
        f"There must be one label per row of the features, got {len(features)} rows and {len(labels)} labels.",
    )

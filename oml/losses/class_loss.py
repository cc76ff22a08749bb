"""What losses with a learnt vector for each class have in common."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from oml.errors import check
from oml.functional.losses import check_reduction, get_reduced
from oml.functional.losses.margin_softmax import ClassifierOutput, Head, margin_softmax
from oml.interfaces.miners import TLabels, labels2tensor


class ClassLoss(nn.Module):
    """
    A loss that compares features with the vectors of all classes: `weight` (C, D), or (C, K, D) with K centres each.

    It is called `criterion(features, labels)` with labels in [0, C), and its `weight` is to be trained along with the
    model. A subclass says in `_calc_output` what is computed. Logs are the share of items that are nearest to their own
    class (`accuracy`) and the mean logit of the own class divided by the scale, which is a cosine (`pos_sim`).

    Args:
        in_features: The width of the features, D.
        num_classes: The number of classes, C.
        n_centres: K, or None for a weight without that dimension.
        reduction: "mean", "sum" or "none".

    Raises:
        InvalidInputError: a size below 1, or an unknown reduction.

    """

    def __init__(
        self, in_features: int, num_classes: int, n_centres: int | None = None, reduction: str = "mean"
    ) -> None:
        for name, size in (("in_features", in_features), ("num_classes", num_classes), ("n_centres", n_centres)):
            check(size is None or size >= 1, f"{name} must be at least 1, got {size}.")
        check_reduction(reduction)
        super().__init__()
        self.in_features = in_features
        self.num_classes = num_classes
        self.n_centres = n_centres
        self.reduction = reduction
        centres = () if n_centres is None else (n_centres,)
        self.weight = nn.Parameter(torch.empty(num_classes, *centres, in_features))
        self.reset_parameters()
        self._logs: Mapping[str, Tensor] = {}

    def reset_parameters(self) -> None:
        """Draw the weight anew, from torch's generator."""
        nn.init.xavier_uniform_(self.weight.flatten(0, -2))

    def forward(self, features: Tensor, labels: TLabels) -> Tensor:
        """
        Give the loss of the features (B, D) with the labels (B,), integers in [0, C). Of no items it is 0.

        Raises:
            TypeError: the labels are neither a tensor nor a list.
            InvalidInputError: shapes, types, devices or labels that do not fit.

        """
        output = self._calc_output(features, labels2tensor(labels, features))
        n_items = max(1, len(features))
        self._logs = {
            "accuracy": output.is_correct.sum() / n_items,
            "pos_sim": output.own_logits.detach().sum() / n_items / self._get_scale(),
        }
        return self._reduce(output)

    def _reduce(self, output: ClassifierOutput) -> Tensor:
        return get_reduced(output.losses, self.reduction)

    def _calc_output(self, features: Tensor, labels: Tensor) -> ClassifierOutput:
        return margin_softmax(features, self.weight.flatten(0, -2), labels, self._make_head())

    def _make_head(self) -> Head:
        raise NotImplementedError(f"{type(self).__name__} must define _make_head or _calc_output.")

    def _get_scale(self) -> float:
        return self._make_head().scale

    @property
    def last_logs(self) -> dict[str, float]:
        """The logs of the last batch, as numbers; reading them waits for the device."""
        return {name: float(value) for name, value in self._logs.items()}

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        found = state_dict.get(prefix + "weight")
        if found is not None and found.shape != self.weight.shape:
            *_, error_msgs = args
            error_msgs.append(
                f"{prefix}weight of the checkpoint is {self._describe(found.shape)}, but this {type(self).__name__} "
                f"has {self._describe(self.weight.shape)}. Make it with the sizes of the checkpoint, or leave out "
                f"{prefix}weight to start with new vectors."
            )
            return
        super()._load_from_state_dict(state_dict, prefix, *args)

    @staticmethod
    def _describe(shape: torch.Size) -> str:
        if len(shape) < 2:
            return f"of the shape {tuple(shape)}"
        centres = f" with {shape[1]} centres" if len(shape) == 3 else ""
        return f"{shape[0]} classes{centres} of {shape[-1]} features"

    def extra_repr(self) -> str:
        """Give the options for printing."""
        centres = "" if self.n_centres is None else f", n_centres={self.n_centres}"
        return f"{self.in_features}, {self.num_classes}{centres}, reduction={self.reduction!r}"

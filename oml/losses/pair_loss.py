"""What losses of pairs have in common: labels become masks, anchors' losses one loss, and the last batch its logs."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from oml.functional.distances import pairwise_dist
from oml.functional.losses import check_reduction
from oml.functional.losses.anchors import AnchorLosses, reduce_anchors
from oml.functional.relations import TRelation, find_pairs
from oml.functional.similarities import cosine_similarities
from oml.losses.warn_once import WarnOnce

NO_PAIRS = (
    "A batch has no pairs for the loss, so it is 0: it takes two items of one label and one of another. "
    "Form batches with BalanceSampler(labels, n_labels, n_instances), both numbers at least 2."
)


class PairLoss(nn.Module, ABC):
    """
    A loss of the similarities or distances of items, of which it is known who belongs to whom.

    Called with features (B, D) and labels (B,), every item is an anchor and all the others are its candidates. Called
    with references too, such as a memory bank, those are the candidates. To write one's own, take `CosinePairLoss` or
    `DistancePairLoss` and define `calc_losses`.

    If no anchor has the candidates it needs, the loss is 0, with zero gradients, and the first time there is a warning
    (on the processor; elsewhere finding out would mean waiting for the device in each step). `torch.compile` takes it,
    without that warning; losses that look at positives apart break the graph there, on the processor only.

    Args:
        reduction: "mean" over all terms, "sum", or "none": the losses of the anchors (B,).

    Raises:
        InvalidInputError: the reduction is unknown.

    """

    criterion_name: ClassVar[str]
    score_name: ClassVar[str]

    def __init__(self, reduction: str = "mean") -> None:
        check_reduction(reduction)
        super().__init__()
        self.reduction = reduction
        self._warn_of_no_pairs = WarnOnce(NO_PAIRS)
        self._last: tuple[Tensor, Tensor, Tensor, AnchorLosses] | None = None

    @abstractmethod
    def calc_scores(self, features: Tensor, ref_features: Tensor | None) -> Tensor:
        """Give the similarities or distances (A, C) of the features (A, D) and the references (C, D), or each other."""

    @abstractmethod
    def calc_losses(self, scores: Tensor, positives: Tensor, negatives: Tensor) -> AnchorLosses:
        """Give the losses of the anchors for scores and two masks (A, C); candidates in neither mask are ignored."""

    def forward(
        self,
        features: Tensor,
        labels: TRelation,
        ref_features: Tensor | None = None,
        ref_labels: TRelation | None = None,
        with_batch: bool = False,
    ) -> Tensor:
        """
        Give the loss.

        Args:
            features: (B, D).
            labels: Integers (B,), a tensor or a list; or any other relation that
                `oml.functional.relations.find_same` takes: several labels per item, or a given relevance.
            ref_features: Candidates (C, D) instead of the batch itself; none of its items should be among them.
            ref_labels: Their labels.
            with_batch: The batch itself is a candidate beside the references, nobody being his own.

        Raises:
            TypeError: labels are of an unknown type.
            InvalidInputError: labels, features and references do not fit each other.

        """
        positives, negatives = find_pairs(labels, features, ref_labels, ref_features, with_batch)
        if with_batch and ref_features is not None:
            # the batch by itself takes one product less, and references without a graph take none for their gradient
            scores = torch.cat([self.calc_scores(features, None), self.calc_scores(features, ref_features)], dim=1)
        else:
            scores = self.calc_scores(features, ref_features)
        anchor_losses = self.calc_losses(scores, positives, negatives)
        if scores.device.type == "cpu" and not torch.compiler.is_compiling() and not anchor_losses.exist.any():
            self._warn_of_no_pairs()
        losses, exist, n_terms = anchor_losses
        self._last = scores.detach(), positives, negatives, AnchorLosses(losses.detach(), exist, n_terms)
        return reduce_anchors(anchor_losses, self.reduction)

    @property
    def last_logs(self) -> dict[str, float]:
        """
        The logs of the last batch, computed when they are read, which waits for the device.

        `active` is the share of anchors with a loss above 0 among those that have the candidates they need; `pos_sim`
        and `neg_sim`, or `pos_dist` and `neg_dist`, are the means over all positive and all negative pairs.
        """
        if self._last is None:
            return {}
        scores, positives, negatives, (losses, exist, _) = self._last
        losses = losses if losses.ndim == 1 else losses.sum(dim=0)
        return {
            "active": _calc_mean((losses > 0).to(scores.dtype), exist),
            f"pos_{self.score_name}": _calc_mean(scores, positives),
            f"neg_{self.score_name}": _calc_mean(scores, negatives),
        }

    def extra_repr(self) -> str:
        """Give the options for printing."""
        options = {name: value for name, value in vars(self).items() if not name.startswith("_") and name != "training"}
        return ", ".join(f"{name}={value!r}" for name, value in options.items())


class CosinePairLoss(PairLoss):
    """A loss of cosine similarities, whatever the lengths of the features."""

    score_name: ClassVar[str] = "sim"

    def calc_scores(self, features: Tensor, ref_features: Tensor | None) -> Tensor:
        """Give the cosines (A, C), at least in float32."""
        return cosine_similarities(features, ref_features)


class DistancePairLoss(PairLoss):
    """A loss of L2 distances of the features as they are: normalise them where margins should not depend on lengths."""

    score_name: ClassVar[str] = "dist"

    def calc_scores(self, features: Tensor, ref_features: Tensor | None) -> Tensor:
        """Give the distances (A, C), at least in float32."""
        return pairwise_dist(features, features if ref_features is None else ref_features)


def _calc_mean(values: Tensor, mask: Tensor) -> float:
    return float(torch.where(mask, values, 0).sum() / mask.count_nonzero().clamp_min(1))

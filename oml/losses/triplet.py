"""Triplet losses: an anchor shall be nearer to its positive than to its negative."""

from collections.abc import Sequence
from typing import ClassVar

import torch  # noqa: F401 - for the examples
from torch import Tensor, nn

from oml.errors import check
from oml.functional.distances import elementwise_dist, pairwise_dist
from oml.functional.losses import check_reduction, get_reduced
from oml.functional.triplets import read_distances, sum_triplet_loss, triplet_loss
from oml.interfaces.criterions import ITripletLossWithMiner
from oml.interfaces.features import check_finite
from oml.interfaces.miners import ITripletsMiner, ITripletsMinerInBatch, TLabels, TripletDistances, labels2tensor
from oml.losses.triplet_logs import TLogs, calc_logs, calc_logs_of_parts, sum_all
from oml.losses.warn_once import WarnOnce
from oml.miners.inbatch_all_tri import AllTripletsMiner

NO_TRIPLETS = (
    "A batch has no triplet, so its loss is 0: a triplet needs two items of one label and one of another. "
    "Form batches with BalanceSampler(labels, n_labels, n_instances), both numbers at least 2."
)


class TripletLoss(nn.Module):
    """
    Triplet loss of given anchors, positives and negatives.

    With L2 distances it is `max(0, margin + d_ap - d_an)`, or `log(1 + exp(d_ap - d_an))` if the margin is None.

    Args:
        margin: By how much the negative shall be more distant than the positive; None for the soft margin.
        reduction: "mean" over all triplets (those without loss too), "sum" or "none".
        need_logs: Keep `last_logs`: the share of triplets with a loss and the mean distances.

    Raises:
        InvalidInputError: the margin is not above 0, or the reduction is unknown.

    Example:
        >>> criterion = TripletLoss(margin=0.5, need_logs=True)
        >>> criterion(torch.tensor([[0.0]]), torch.tensor([[1.0]]), torch.tensor([[0.75]])).item()
        0.75
        >>> criterion.last_logs
        {'active_tri': 1.0, 'pos_dist': 1.0, 'neg_dist': 0.75}

    """

    criterion_name: ClassVar[str] = "triplet"

    def __init__(self, margin: float | None, reduction: str = "mean", need_logs: bool = False) -> None:
        _check_options(margin, reduction)
        super().__init__()
        self.margin = margin
        self.reduction = reduction
        self.need_logs = need_logs
        self._logs: TLogs = {}

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """
        Give the loss of the triplets, whose features are (T, D) each. Without triplets the mean is 0.

        Raises:
            InvalidInputError: the shapes differ, or features are not finite.

        """
        check(
            anchor.shape == positive.shape == negative.shape,
            f"Anchors, positives and negatives must have one shape (T, D), got {tuple(anchor.shape)}, "
            f"{tuple(positive.shape)} and {tuple(negative.shape)}.",
        )
        for name, features in (("anchor", anchor), ("positive", positive), ("negative", negative)):
            check_finite(features, name)
        positive_distances, negative_distances = elementwise_dist(anchor, positive), elementwise_dist(anchor, negative)
        losses = triplet_loss(positive_distances, negative_distances, self.margin)
        if self.need_logs:
            self._logs = calc_logs(losses, positive_distances, negative_distances)
        return get_reduced(losses, self.reduction)

    @property
    def last_logs(self) -> dict[str, float]:
        """The logs of the last batch, as numbers; reading them waits for the device."""
        return {name: float(value) for name, value in self._logs.items()}

    def extra_repr(self) -> str:
        """Give the options for printing."""
        return f"margin={self.margin}, reduction={self.reduction!r}"


def get_tri_ids_in_plain(n: int) -> tuple[list[int], list[int], list[int]]:
    """
    Give the rows of anchors, positives and negatives among n rows that hold triplets one after another.

    Example:
        >>> get_tri_ids_in_plain(6)
        ([0, 3], [1, 4], [2, 5])

    """
    return list(range(0, n, 3)), list(range(1, n, 3)), list(range(2, n, 3))


class TripletLossPlain(nn.Module):
    """
    Triplet loss of one matrix of features whose rows are anchor, positive, negative, anchor, positive, negative, ...

    Arguments and logs are those of `TripletLoss`.

    Example:
        >>> TripletLossPlain(margin=0.5)(torch.tensor([[0.0], [1.0], [0.75]])).item()
        0.75

    """

    criterion_name: ClassVar[str] = "triplet"

    def __init__(self, margin: float | None, reduction: str = "mean", need_logs: bool = False) -> None:
        super().__init__()
        self.criterion = TripletLoss(margin, reduction, need_logs)

    def forward(self, features: Tensor) -> Tensor:
        """
        Give the loss of the features (3T, D).

        Raises:
            InvalidInputError: the number of rows is not a multiple of 3.

        """
        check(
            len(features) % 3 == 0,
            f"features must hold triplets of rows, so their number must be divisible by 3, got {len(features)}.",
        )
        loss: Tensor = self.criterion(features[0::3], features[1::3], features[2::3])
        return loss

    @property
    def last_logs(self) -> dict[str, float]:
        """The logs of the last batch, as numbers."""
        return self.criterion.last_logs


class TripletLossWithMiner(ITripletLossWithMiner):
    """
    Triplet loss of the triplets that a miner finds in a batch.

    The distances of the batch are computed once, (B, B), and both the miner and the loss read them: with the miners
    of this package the step needs O(B^2) memory, however many triplets there are. A miner of one's own may define
    `_sample` (positions in the batch) or only `sample` (features).

    If a batch has no triplet the loss is 0, with zero gradients, and the first time there is a warning (on the
    processor; elsewhere, with the miners of this package, finding out would mean waiting for the device in each step).

    The gradient of the soft margin can not be differentiated again unless the reduction is "none".

    Args:
        margin: By how much the negative shall be more distant than the positive; None for the soft margin.
        miner: Finds the triplets.
        reduction: "mean" over all triplets (those without loss too), "sum", or "none": (T,), in the miner's order.
        need_logs: Keep `last_logs`: the share of triplets with a loss and the mean distances. The logs of the miner, if
            it has `last_logs`, are always there.

    Raises:
        InvalidInputError: the margin is not above 0, or the reduction is unknown.

    Example:
        >>> criterion = TripletLossWithMiner(margin=0.5, miner=AllTripletsMiner(), need_logs=True)
        >>> criterion(torch.tensor([[0.0], [2.0], [1.0]]), torch.tensor([7, 7, 9])).item()
        1.5
        >>> criterion.last_logs
        {'active_tri': 1.0, 'pos_dist': 2.0, 'neg_dist': 1.0}

    """

    criterion_name: ClassVar[str] = "triplet"

    def __init__(
        self,
        margin: float | None,
        miner: ITripletsMiner = AllTripletsMiner(),  # noqa: B008 - the documented default; it has no state
        reduction: str = "mean",
        need_logs: bool = False,
    ) -> None:
        _check_options(margin, reduction)
        super().__init__()
        self.margin = margin
        self.miner = miner
        self.reduction = reduction
        self.need_logs = need_logs
        self._logs: TLogs = {}
        self._warn_of_no_triplets = WarnOnce(NO_TRIPLETS)

    def forward(self, features: Tensor, labels: TLabels) -> Tensor:
        """
        Give the loss of the features (B, D) with the labels (B,), a tensor or a list.

        Raises:
            InvalidInputError: there are not as many labels as features, labels are not integers, or features not
                finite (on the processor).

        """
        labels_tensor = labels2tensor(labels, features)
        if self.reduction != "none" and getattr(self.miner, "gives_distances", False):
            return self._reduce_parts(self.miner.sample_distances(features, labels))  # type: ignore[attr-defined]
        if not getattr(self.miner, "gives_ids", False):
            # a miner with a memory also tells which triplets are from the batch alone
            is_original: list[Tensor]
            anchor, positive, negative, *is_original = self.miner.sample(features, labels)
            return self._reduce(elementwise_dist(anchor, positive), elementwise_dist(anchor, negative), *is_original)

        miner: ITripletsMinerInBatch = self.miner  # type: ignore[assignment]
        distances = pairwise_dist(features, features)
        if self.reduction != "none":
            candidates = miner.sample_candidates(distances.detach(), labels_tensor)
            if candidates is not None:
                return self._reduce_parts([read_distances(features, distances, candidates)])
        ids_a, ids_p, ids_n = miner.sample_ids(features, labels, distances.detach())
        # positions in the flat matrix: the backward pass of these is the fastest
        flat, starts = distances.flatten(), ids_a * len(features)
        return self._reduce(flat.gather(0, starts + ids_p), flat.gather(0, starts + ids_n))

    def _reduce(
        self, positive_distances: Tensor, negative_distances: Tensor, is_original: Tensor | None = None
    ) -> Tensor:
        losses = triplet_loss(positive_distances, negative_distances, self.margin)
        if self.need_logs:
            self._logs = calc_logs(losses, positive_distances, negative_distances, is_original)
        if losses.numel() == 0:
            self._warn_of_no_triplets()
        return get_reduced(losses, self.reduction)

    def _reduce_parts(self, parts: Sequence[TripletDistances]) -> Tensor:
        sums = [sum_triplet_loss(part.near, part.far, self.margin) for part in parts]
        counts = [part.count_triplets() * part.weight for part in parts]
        loss = sum_all([loss * part.weight for part, (loss, _) in zip(parts, sums, strict=True)])
        n_triplets = sum_all(counts)
        if n_triplets.device.type == "cpu" and n_triplets == 0:
            self._warn_of_no_triplets()
        if self.need_logs:
            self._logs = calc_logs_of_parts(parts, [n_active for _, n_active in sums], counts)
        return loss / n_triplets.clamp_min(1) if self.reduction == "mean" else loss

    @property
    def last_logs(self) -> dict[str, float]:
        """The logs of the last batch, as numbers; reading them waits for the device."""
        logs = {**self._logs, **getattr(self.miner, "last_logs", {})}
        return {name: float(value) for name, value in logs.items()}

    def extra_repr(self) -> str:
        """Give the options for printing."""
        return f"margin={self.margin}, miner={type(self.miner).__name__}, reduction={self.reduction!r}"


def _check_options(margin: float | None, reduction: str) -> None:
    check(
        margin is None or margin > 0,
        f"margin must be above 0, or None for the soft margin, got {margin}.",
    )
    check_reduction(reduction)

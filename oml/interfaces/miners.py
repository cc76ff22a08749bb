"""What a miner must offer: which triplets of a batch the loss shall look at."""

import math
from abc import ABC, abstractmethod
from collections import Counter
from numbers import Integral
from typing import Any, ClassVar, NamedTuple

import torch
from torch import LongTensor, Tensor

from oml.errors import InvalidInputError, check, show_some
from oml.interfaces.features import check_finite
from oml.interfaces.masks import count_in_rows

TTriplets = tuple[Tensor, Tensor, Tensor]
TTripletsIds = tuple[LongTensor, LongTensor, LongTensor] | tuple[list[int], list[int], list[int]]
TLabels = list[int] | Tensor

ONE_LABEL_EACH = (
    "Several labels per item, or a given Relevance, are taken by losses of pairs only, such as MultiSimilarityLoss, "
    "without a memory."
)


class Candidates(NamedTuple):
    """
    Items that each anchor may take, up to K of them.

    `exist` (A, K) tells which of the K places are taken. `ids` (A, K), int64, are the items' positions among all the
    items, which are those of the batch, or those of the batch and then those of a bank; None means that place k is
    item k.
    """

    exist: Tensor
    ids: Tensor | None = None

    def take(self, distances: Tensor, missing: float) -> Tensor:
        """Give the distances to the candidates (A, K) out of those to all items (A, C), or `missing`."""
        return torch.where(self.exist, distances if self.ids is None else distances.gather(1, self.ids), missing)


class TripletCandidates(NamedTuple):
    """Triplets of a batch without a list of them: each positive of an anchor with each of its negatives."""

    positives: Candidates
    negatives: Candidates

    def count_triplets(self) -> Tensor:
        """Give the number of triplets, a tensor without dimensions."""
        return (count_in_rows(self.positives.exist) * count_in_rows(self.negatives.exist)).sum()


class TripletDistances(NamedTuple):
    """
    Distances of anchors to their positives (A, P) and negatives (A, Q), with gradients: each positive of an anchor with
    each of its negatives is a triplet.

    `near` is -inf and `far` is inf where there is no item. Each triplet stands for `weight` triplets. `is_original`
    tells whether all of them are from the batch alone, for a loss that logs both kinds; None where kinds do not matter.
    """

    near: Tensor
    far: Tensor
    weight: Tensor | float = 1.0
    is_original: bool | None = None

    def count_triplets(self) -> Tensor:
        """Give the number of triplets, without their weight, a tensor without dimensions."""
        return (count_in_rows(self.near != -math.inf) * count_in_rows(self.far != math.inf)).sum()


def labels2list(labels: TLabels) -> list[int]:
    """
    Give the labels as a list of numbers.

    Raises:
        TypeError: the labels are neither a tensor nor a list.

    Example:
        >>> labels2list(torch.tensor([3, 1]))
        [3, 1]

    """
    if isinstance(labels, Tensor):
        return labels.reshape(-1).tolist()
    if isinstance(labels, list):
        return labels.copy()
    raise TypeError(_wrong_type_message(labels))


def labels2tensor(labels: TLabels, features: Tensor) -> Tensor:
    """
    Give the labels as a tensor (B,), int64 or bool, on the device of the features (B, D), without waiting for it.

    Raises:
        TypeError: the labels are neither a tensor nor a list.
        InvalidInputError: there are not as many labels as features, labels are not integers, or features not finite.

    Example:
        >>> labels2tensor([3, 1], features=torch.zeros(2, 4))
        tensor([3, 1])

    """
    labels = check_labels(labels, features)
    # arithmetic and comparisons do not know all the integers without a sign
    dtype = labels.dtype if labels.dtype == torch.bool else torch.long
    return labels.to(features.device, dtype, non_blocking=True)


def check_labels(labels: TLabels, features: Tensor) -> Tensor:
    """
    Give the labels as a tensor (B,) where they are, after a look at their type and number, and at the features.

    Raises:
        TypeError: the labels are neither a tensor nor a list.
        InvalidInputError: there are not as many labels as features, labels are not integers, or features not finite.

    Example:
        >>> check_labels(torch.tensor([[3], [1]]), features=torch.zeros(2, 4))
        tensor([3, 1])

    """
    if not isinstance(labels, (Tensor, list)):
        raise TypeError(_wrong_type_message(labels))
    table = read_labels(labels)
    labels = table.reshape(-1)
    check(
        features.ndim == 2 and len(labels) == len(features),
        f"There must be one label per row of the features (B, D), got features of the shape {tuple(features.shape)} "
        f"and {len(labels)} labels." + (f" {ONE_LABEL_EACH}" if table.ndim > 1 else ""),
    )
    is_integer = not (labels.is_floating_point() or labels.is_complex())
    check(
        is_integer or not len(labels),  # an empty list gives an empty tensor of float32
        f"labels must be integers, got {labels.dtype}. Convert with .long().",
    )
    check_finite(features)
    return labels


def read_labels(labels: TLabels, name: str = "labels") -> Tensor:
    """
    Give labels as a tensor.

    Raises:
        InvalidInputError: a list holds something else than integers.

    Example:
        >>> read_labels([3, 1])
        tensor([3, 1])

    """
    try:
        return torch.as_tensor(labels)
    except (RuntimeError, TypeError, ValueError) as error:
        odd = [label for label in labels if not isinstance(label, Integral)] or [max(labels, key=abs)]
        raise InvalidInputError(
            f"{name} must be integers of 64 bits at most, got {odd[0]!r} in the list. Number names 0, 1, 2, ... "
            f"{ONE_LABEL_EACH}"
        ) from error


def _wrong_type_message(labels: Any) -> str:
    return (
        f"labels must be a tensor or a list, got {type(labels).__name__}. Convert them with torch.as_tensor. "
        f"{ONE_LABEL_EACH}"
    )


class ITripletsMiner(ABC):
    """Gives triplets of features for a batch."""

    # whether the triplets are positions in the batch, so that losses may ask for candidates and ids instead of features
    gives_ids: ClassVar[bool] = False

    @abstractmethod
    def sample(self, features: Tensor, labels: TLabels) -> TTriplets:
        """Give anchors, positives and negatives, (T, D) each, for the features (B, D) with the labels (B,)."""


class ITripletsMinerWithDistances(ITripletsMiner):
    """
    Gives, beside features, distances that a loss reads instead, e.g. to items of a bank.

    A class that redefines only `sample` is asked for that, not for its parent's distances.
    """

    # whether losses may ask for distances instead of features
    gives_distances: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = vars(cls)
        if "sample" in own or "sample_distances" in own:
            cls.gives_distances = "sample_distances" in own

    @abstractmethod
    def sample_distances(self, features: Tensor, labels: TLabels) -> list[TripletDistances]:
        """Give distances, with gradients into the features (B, D), in one part or several."""


class ITripletsMinerInBatch(ITripletsMiner):
    """
    Gives triplets of items of the batch. To write one's own miner, define `_sample`.

    Losses compute one matrix of distances and ask which of its elements to read, so that no features are copied: first
    for candidates (`sample_candidates`), which need no list of triplets, and, if there are none, for positions
    (`sample_ids`). A class that redefines only `sample`, `_sample` or `sample_ids` is asked for that, not for its
    parent's shortcuts.
    """

    gives_ids: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # shortcuts inherited from a parent would go past what the class has redefined
        own = vars(cls)
        if "sample_candidates" in own:
            return
        if "sample_ids" not in own and "sample" in own:
            cls.gives_ids = False
        elif "sample_ids" in own or "_sample" in own:
            cls.gives_ids = True
            cls.sample_candidates = ITripletsMinerInBatch.sample_candidates  # type: ignore[method-assign]
            if "sample_ids" not in own:
                cls.sample_ids = ITripletsMinerInBatch.sample_ids  # type: ignore[method-assign]

    @abstractmethod
    def _sample(self, features: Tensor, labels: list[int]) -> TTripletsIds:
        """Give the positions in the batch of anchors, positives and negatives, (T,) each."""

    def sample_candidates(self, distances: Tensor, labels: Tensor) -> TripletCandidates | None:
        """
        Give the positives and the negatives of each anchor, or None if the triplets are not all their combinations.

        Args:
            distances: L2 distances between the items of the batch (B, B), detached.
            labels: Labels (B,) on the same device.

        """
        return None

    def sample_ids(self, features: Tensor, labels: TLabels, distances: Tensor | None = None) -> TTriplets:
        """
        Give the positions in the batch of anchors, positives and negatives, (T,) each, int64, on the features' device.

        Items that have no positive or no negative are no anchors, so there may be no triplets at all: T = 0.

        Args:
            features: Features (B, D).
            labels: Labels (B,).
            distances: L2 distances between the features (B, B), if they are known already.

        """
        ids_a, ids_p, ids_n = self._sample(features, labels=labels2list(labels))
        device = features.device
        return (
            torch.as_tensor(ids_a, dtype=torch.long, device=device),
            torch.as_tensor(ids_p, dtype=torch.long, device=device),
            torch.as_tensor(ids_n, dtype=torch.long, device=device),
        )

    def sample(self, features: Tensor, labels: TLabels) -> TTriplets:
        """
        Give anchors, positives and negatives, (T, D) each; gradients flow into the features (B, D).

        Raises:
            TypeError: the labels are neither a tensor nor a list.
            InvalidInputError: a label occurs once only, or there is only one label, or there are not as many labels as
                features, or labels are not integers, or features not finite.

        """
        labels = labels2list(check_labels(labels, features))
        self._check_labels(labels)
        ids_a, ids_p, ids_n = self._sample(features, labels=labels)
        return features[ids_a], features[ids_p], features[ids_n]

    @staticmethod
    def _check_labels(labels: list[int]) -> None:
        counts = Counter(labels)
        single = [label for label, count in counts.items() if count < 2]
        check(
            not single,
            f"Each label of a batch must occur at least twice to have a positive, but these occur once: "
            f"{show_some(single)}. Use BalanceSampler(labels, n_labels=..., n_instances=...) with n_instances >= 2.",
        )
        check(
            len(counts) > 1,
            f"A batch must have at least two different labels to have a negative, got {show_some(counts)}. "
            f"Use BalanceSampler(labels, n_labels=..., n_instances=...) with n_labels >= 2.",
        )

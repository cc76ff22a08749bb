"""All the triplets of a batch, or a random part of them."""

import random
import sys
from typing import Any

import numpy as np
import torch
from torch import LongTensor, Tensor

from oml.errors import check
from oml.functional.triplets import find_positives_and_negatives, list_triplets
from oml.interfaces.masks import count_in_rows
from oml.interfaces.miners import (
    Candidates,
    ITripletsMinerInBatch,
    TLabels,
    TripletCandidates,
    TTriplets,
    TTripletsIds,
    labels2list,
    labels2tensor,
)


class AllTripletsMiner(ITripletsMinerInBatch):
    """
    Gives all the triplets of a batch: every ordered pair of one label with every item of another label.

    There are `sum over labels of n_c * (n_c - 1) * (N - n_c)` of them. Losses that average or sum over all of them
    never list them; `sample` lists them in random order. Only labels matter.

    Args:
        max_output_triplets: Give at most so many triplets, chosen at random without repetition. The list of all the
            triplets is not made for that.
        device: Where `_sample` puts the positions; `sample` and losses follow the features.
        generator: Source of randomness. By default it is numpy's global one.

    Raises:
        InvalidInputError: max_output_triplets is not a positive number.

    Example:
        >>> features, labels = torch.eye(4), torch.tensor([0, 0, 1, 1])
        >>> anchor, positive, negative = AllTripletsMiner().sample(features, labels)
        >>> anchor.shape
        torch.Size([8, 4])

    """

    def __init__(
        self,
        max_output_triplets: int = sys.maxsize,
        device: str | torch.device = "cpu",
        generator: np.random.Generator | None = None,
    ) -> None:
        _check_limit("max_output_triplets", max_output_triplets)
        self.max_output_triplets = max_output_triplets
        self.device = device
        self.generator = generator

    def _sample(self, *_: Any, labels: list[int]) -> TTripletsIds:  # type: ignore[override]
        return get_available_triplets(labels, self.max_output_triplets, self.device, self.generator)

    def sample_candidates(self, distances: Tensor, labels: Tensor) -> TripletCandidates | None:
        """Give all the positives and negatives of each item, or None if the number of triplets is limited."""
        if self.max_output_triplets < sys.maxsize:
            return None
        positives, negatives = find_positives_and_negatives(labels)
        return TripletCandidates(Candidates(positives), Candidates(negatives))

    def sample_ids(self, features: Tensor, labels: TLabels, distances: Tensor | None = None) -> TTriplets:
        """
        Give the positions of anchors, positives and negatives, (T,) each, ordered by anchor, positive, negative.

        With a limit they are a random part of the list, in random order.
        """
        masks = find_positives_and_negatives(labels2tensor(labels, features))
        return list_triplets(*masks, chosen=_choose(*masks, self.max_output_triplets, self.generator))


def get_available_triplets(
    labels: TLabels,
    max_out_triplets: int = sys.maxsize,
    device: str | torch.device = "cpu",
    generator: np.random.Generator | None = None,
) -> tuple[LongTensor, LongTensor, LongTensor]:
    """
    Give the positions of anchors, positives and negatives of all the triplets, (T,) each, in random order.

    Args:
        labels: Labels (N,).
        max_out_triplets: Give at most so many triplets, chosen at random without repetition.
        device: Where to put the positions.
        generator: Source of randomness. By default it is numpy's global one.

    Raises:
        InvalidInputError: max_out_triplets is not a positive number.

    Example:
        >>> anchors, positives, negatives = get_available_triplets([5, 5, 8])
        >>> sorted(zip(anchors.tolist(), positives.tolist(), negatives.tolist()))
        [(0, 1, 2), (1, 0, 2)]

    """
    _check_limit("max_out_triplets", max_out_triplets)
    masks = find_positives_and_negatives(torch.as_tensor(labels).reshape(-1).to(device))
    chosen = _choose(*masks, max_out_triplets, generator, shuffle=True)
    return list_triplets(*masks, chosen=chosen)  # type: ignore[return-value]


def get_available_triplets_naive(
    labels: TLabels, max_out_triplets: int = sys.maxsize
) -> tuple[list[int], list[int], list[int]]:
    """
    Give the same as `get_available_triplets`, by three nested loops: the definition to compare with.

    Example:
        >>> get_available_triplets_naive([5, 5, 8], max_out_triplets=10)[2]
        [2, 2]

    """
    labels = labels2list(labels)
    items = list(enumerate(labels))
    triplets = [
        (anchor, positive, negative)
        for anchor, label in items
        for positive, label_p in items
        if positive != anchor and label_p == label
        for negative, label_n in items
        if label_n != label
    ]
    seed = int(np.random.randint(2**31))
    random.Random(seed).shuffle(triplets)
    triplets = triplets[:max_out_triplets]
    return [t[0] for t in triplets], [t[1] for t in triplets], [t[2] for t in triplets]


def _choose(
    positives: Tensor, negatives: Tensor, limit: int, generator: np.random.Generator | None, shuffle: bool = False
) -> Tensor | None:
    """Give random positions in the list of triplets, or None for all of them in order."""
    if limit == sys.maxsize and not shuffle:
        return None
    n_triplets = int((count_in_rows(positives) * count_in_rows(negatives)).sum())
    if limit >= n_triplets and not shuffle:
        return None
    # numpy's global generator can not choose a few of many without listing all: it seeds one that can
    generator = generator or np.random.default_rng(np.random.randint(2**31))
    chosen = generator.choice(n_triplets, size=min(limit, n_triplets), replace=False)
    return torch.as_tensor(chosen, dtype=torch.long, device=positives.device)


def _check_limit(name: str, limit: int) -> None:
    check(limit >= 1, f"{name} must be a positive number of triplets, got {limit}. Leave it out to get all triplets.")

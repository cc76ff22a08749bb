"""Triplets of a batch, and as many times more of the batch and the batches before."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from oml.errors import check
from oml.functional.distances import pairwise_dist
from oml.functional.triplets import find_positives_and_negatives, list_triplets
from oml.interfaces.miners import ITripletsMinerWithDistances, TLabels, TripletDistances, labels2tensor
from oml.miners.feature_bank import FeatureBank

TMemoryTriplets = tuple[Tensor, Tensor, Tensor, Tensor]


class TripletMinerWithMemory(ITripletsMinerWithDistances, nn.Module):
    """
    Gives all the triplets of a batch, and `tri_expand_k - 1` times as many that join it with the last batches.

    Half of the others are pairs of the batch with a random negative from the bank, half are pairs of the bank with a
    random negative from the batch; those whose labels coincide are dropped. As long as the bank has nothing to offer
    there are only the triplets of the batch. Batches may differ in size. Features of the bank are detached. In
    evaluation mode the bank is read and not written. See `FeatureBank` for devices, precision and restoring.

    `sample` draws these triplets at random and copies features, (T, D) three times. Losses that average or sum get the
    mean over what is drawn from instead of a drawn part: all pairs of the batch with all negatives of the bank, and all
    pairs of every n-th item of the bank, n the number of batches there, with all negatives of the batch; the items take
    turns, and each has one while it is in a full bank. It is what the random triplets have as their expectation,
    it is not random, and it needs O(B * (B + M)) memory for a bank of M items.

    Args:
        bank_size_in_batches: How many batches the bank keeps.
        tri_expand_k: How many times as many triplets as the batch has; 1 for those of the batch alone.
        generator: Source of randomness of `sample`. By default it is numpy's global one.

    Raises:
        InvalidInputError: a size is not a positive whole number.

    Example:
        >>> miner = TripletMinerWithMemory(bank_size_in_batches=2, tri_expand_k=3)
        >>> features, labels = torch.eye(4), torch.tensor([0, 0, 1, 1])
        >>> [len(miner.sample(features, labels + shift)[0]) for shift in (0, 2, 4)]
        [8, 24, 24]

    """

    def __init__(
        self, bank_size_in_batches: int = 20, tri_expand_k: int = 3, generator: np.random.Generator | None = None
    ) -> None:
        super().__init__()
        check(
            isinstance(tri_expand_k, int) and not isinstance(tri_expand_k, bool) and tri_expand_k >= 1,
            f"tri_expand_k must be a whole number of at least 1, got {tri_expand_k!r}.",
        )
        self.bank = FeatureBank(bank_size_in_batches)
        self.tri_expand_k = tri_expand_k
        self.generator = generator

    def update_bank(self, features: Tensor, labels: TLabels) -> None:
        """Add a batch of features (B, D) with labels (B,) to the bank; the oldest one leaves if there are too many."""
        self.bank.push(features, labels2tensor(labels, features))

    def sample(self, features: Tensor, labels: TLabels) -> TMemoryTriplets:  # type: ignore[override]
        """
        Give anchors, positives and negatives, (T, D) each, and whether a triplet is of the batch alone, (T,) bool.

        Those of the batch alone come last. Gradients flow into what is of the batch. On a device other than the
        processor this waits for the device.

        Raises:
            TypeError: the labels are neither a tensor nor a list.
            InvalidInputError: there are not as many labels as features, or the bank is of another width.

        """
        labels = labels2tensor(labels, features)
        self.bank.fit(features)
        own = torch.stack(list_triplets(*find_positives_and_negatives(labels)))
        n_drawn = own.shape[1] * (self.tri_expand_k - 1) // 2
        known_labels = torch.cat([labels.to(self.bank.labels), self.bank.labels])
        # numpy's global generator is asked for a seed only, so that both kinds draw alike
        rng = self.generator or np.random.default_rng(np.random.randint(2**31))
        batch, bank = np.arange(len(labels)), np.arange(len(labels), len(known_labels))
        host_labels = known_labels.cpu().numpy()
        drawn = [
            _draw_triplets(host_labels, pairs, negatives, n_drawn, rng)
            for pairs, negatives in ((batch, bank), (bank, batch))
        ]
        ids = torch.cat([torch.as_tensor(np.concatenate(drawn, axis=1), device=own.device), own], dim=1)
        is_original = torch.arange(ids.shape[1], device=own.device) >= ids.shape[1] - own.shape[1]
        everything = torch.cat([features, self.bank.features.to(features.dtype)])
        if self.training:
            self.bank.push(features, labels)
        return everything[ids[0]], everything[ids[1]], everything[ids[2]], is_original

    def sample_distances(self, features: Tensor, labels: TLabels) -> list[TripletDistances]:
        """
        Give the distances of the triplets of the batch, and of both kinds that join it with the bank.

        A triplet of the latter has as weight how often it is drawn on average. Nothing waits for the device.
        """
        labels = labels2tensor(labels, features)
        self.bank.fit(features)
        positives, negatives = find_positives_and_negatives(labels)
        distances = pairwise_dist(features, features)
        near = torch.where(positives, distances, -math.inf)
        own = TripletDistances(near, torch.where(negatives, distances, math.inf), is_original=True)
        parts = [own]
        if self.tri_expand_k > 1 and len(self.bank) > 0:
            n_drawn = own.count_triplets() * (self.tri_expand_k - 1) // 2
            parts += self._join(features, labels, near, n_drawn)
        if self.training:
            self.bank.push(features, labels)
        return parts

    @property
    def turn(self) -> slice:
        """The places of the bank whose items are anchors in this step; the items are numbered from the first one on."""
        n_batches = max(1, len(self.bank.sizes))
        return slice((self.bank.n_pushed - self.bank.n_dropped) % n_batches, None, n_batches)

    def _join(self, features: Tensor, labels: Tensor, near: Tensor, n_drawn: Tensor) -> list[TripletDistances]:
        """Give the pairs of the batch with negatives of the bank, then pairs of the bank with those of the batch."""
        bank, known = self.bank.features, self.bank.labels
        to_bank = pairwise_dist(features, bank)
        far = torch.where(labels[:, None] != known, to_bank, math.inf)
        n_draws = (near != -math.inf).sum() * len(known)
        with_negatives = TripletDistances(near, far, n_drawn / n_draws.clamp_min(1), is_original=False)

        turn = self.turn
        is_alien = known[turn, None] != known
        places = torch.arange(len(known), device=known.device)[turn]
        is_alien.scatter_(1, places[:, None], True)  # an item is not its own positive
        near = pairwise_dist(bank[turn], bank).masked_fill_(is_alien, -math.inf)
        n_draws = (is_alien.numel() - is_alien.count_nonzero()) * len(features)
        weight = n_drawn / n_draws.clamp_min(1)
        return [with_negatives, TripletDistances(near, far[:, turn].T, weight, is_original=False)]

    def get_pos_pairs(self, lbl2idx: Mapping[int, Sequence[int]], n: int | None = None) -> tuple[list[int], list[int]]:
        """
        Give ordered pairs of one label: all of them, or n that are drawn at random with repetition.

        Args:
            lbl2idx: The positions of the items of each label.
            n: How many.

        """
        ids = np.array([i for items in lbl2idx.values() for i in items], dtype=np.int64)
        labels = np.repeat(np.arange(len(lbl2idx)), [len(items) for items in lbl2idx.values()])
        places, n_pairs = np.arange(len(ids)), _count_pairs(labels)
        if n is None:
            chosen = np.arange(n_pairs)
        else:
            rng = self.generator or np.random.default_rng(np.random.randint(2**31))
            chosen = rng.integers(n_pairs, size=n) if n_pairs else places[:0]
        first, second = _find_pairs(labels, chosen)
        return ids[first].tolist(), ids[second].tolist()

    @staticmethod
    def take_tri_by_mask(
        ii_a: Sequence[int], ii_p: Sequence[int], ii_n: Sequence[int], mask: Sequence[bool]
    ) -> tuple[list[int], list[int], list[int]]:
        """
        Give the triplets that are marked.

        Example:
            >>> TripletMinerWithMemory.take_tri_by_mask([0, 1], [1, 0], [2, 2], [False, True])
            ([1], [0], [2])

        """
        is_taken = np.asarray(mask, dtype=bool)
        ids_a, ids_p, ids_n = (np.asarray(ids)[is_taken].tolist() for ids in (ii_a, ii_p, ii_n))
        return ids_a, ids_p, ids_n


def _draw_triplets(
    labels: np.ndarray, pair_items: np.ndarray, negative_items: np.ndarray, n: int, rng: np.random.Generator
) -> np.ndarray:
    """Give n random triplets (3, T) of a pair of some items and a negative of others, less those of one label."""
    n_pairs = _count_pairs(labels[pair_items])
    if n == 0 or n_pairs == 0 or len(negative_items) == 0:
        return np.empty((3, 0), dtype=np.int64)
    first, second = _find_pairs(labels[pair_items], rng.integers(n_pairs, size=n))
    ids = np.stack([pair_items[first], pair_items[second], rng.choice(negative_items, size=n)])
    triplets: np.ndarray = ids[:, labels[ids[0]] != labels[ids[2]]]
    return triplets


def _count_pairs(labels: np.ndarray) -> int:
    """Give the number of ordered pairs of one label."""
    counts = np.unique(labels, return_counts=True)[1]
    return int((counts * (counts - 1)).sum())


def _find_pairs(labels: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the ordered pairs of one label that have these numbers, in a list by label and then by item."""
    order = np.argsort(labels, kind="stable")
    _, places, counts = np.unique(labels[order], return_inverse=True, return_counts=True)
    starts = np.cumsum(counts) - counts
    ends = np.cumsum(counts[places] - 1)  # of the pairs of each item, in this order
    first = np.searchsorted(ends, numbers, side="right")
    start = starts[places[first]]
    second = start + numbers - (ends[first] - counts[places[first]] + 1)
    second += second >= first  # an item is not its own positive
    return order[first], order[second]

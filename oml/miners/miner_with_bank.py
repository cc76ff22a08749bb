"""Hard triplets of a batch whose positives and negatives may come from batches before."""

from typing import Any

import torch
from torch import Tensor, nn

from oml.errors import check
from oml.functional.distances import pairwise_dist
from oml.functional.triplets import read_distances
from oml.interfaces.miners import (
    ITripletsMinerWithDistances,
    TLabels,
    TripletCandidates,
    TripletDistances,
    TTriplets,
    labels2tensor,
)
from oml.miners.feature_bank import FeatureBank
from oml.miners.inbatch_nhard_tri import NHardTripletsMiner
from oml.miners.ranks import list_ids


class MinerWithBank(ITripletsMinerWithDistances, nn.Module):
    """
    Mines the items of a batch among themselves and among the last batches, which are kept in a bank.

    Until the bank is full only the batch is looked at. Anchors are always items of the batch. Batches may differ in
    size. Features of the bank are detached, as in "Momentum Contrast" (He et al. 2020) and "Cross-Batch Memory" (Wang
    et al. 2020), but without a second network. In evaluation mode the bank is read and not written; it is written in
    training mode also where gradients are off. See `FeatureBank` for devices, precision and restoring.

    Losses read distances and need O(B * (B + M)) memory for a bank of M items; `sample` copies features.

    Args:
        bank_size_in_batches: How many batches the bank keeps.
        miner: Chooses positives and negatives by their ranks.
        need_logs: Keep `last_logs`.

    Raises:
        InvalidInputError: the size is not a positive whole number, or the miner is not an `NHardTripletsMiner`.

    Example:
        >>> miner = MinerWithBank(1, NHardTripletsMiner())
        >>> batches = torch.tensor([[0.0], [1.0], [5.0], [3.0]]), torch.tensor([[0.0], [1.0], [4.0], [9.0]])
        >>> [[part.flatten().tolist() for part in miner.sample(batch, [0, 0, 1, 1])][2] for batch in batches]
        [[3.0, 3.0, 1.0, 1.0], [3.0, 3.0, 1.0, 1.0]]
        >>> miner.last_logs["negatives_from_bank"], len(miner.bank)
        (0.5, 4)

    """

    def __init__(
        self,
        bank_size_in_batches: int = 3,
        miner: NHardTripletsMiner = NHardTripletsMiner(),  # noqa: B008 - it has no state
        need_logs: bool = True,
    ) -> None:
        super().__init__()
        check(
            isinstance(miner, NHardTripletsMiner),
            f"miner must be an NHardTripletsMiner, got {type(miner).__name__}.",
        )
        self.bank = FeatureBank(bank_size_in_batches)
        self.miner = miner
        self.need_logs = need_logs
        self._logs: dict[str, Tensor | float] = {}

    @property
    def last_logs(self) -> dict[str, float]:
        """Numbers of positives and negatives of the last batch, from the bank and from the batch, per anchor."""
        return {name: float(value) for name, value in self._logs.items()}

    def sample(self, features: Tensor, labels: TLabels) -> TTriplets:
        """
        Give anchors, positives and negatives, (T, D) each; gradients flow into those that are of the batch (B, D).

        Anchors without a positive or a negative at the ranks of the miner are left out, so T may be 0. On a device
        other than the processor this waits for the device.

        Raises:
            TypeError: the labels are neither a tensor nor a list.
            InvalidInputError: there are not as many labels as features, or the bank is of another width.

        """
        bank, _, candidates = self._mine(features, labels)
        ids_a, ids_p, ids_n = list_ids(candidates)
        everything = features if bank is None else torch.cat([features, bank.to(features.dtype)])
        return features[ids_a], everything[ids_p], everything[ids_n]

    def sample_distances(self, features: Tensor, labels: TLabels) -> list[TripletDistances]:
        """Give the distances of the batch's items to their candidates; nothing waits for the device."""
        bank, distances, candidates = self._mine(features, labels)
        return [read_distances(features, distances, candidates, bank)]

    def _mine(self, features: Tensor, labels: TLabels) -> tuple[Tensor | None, Tensor, TripletCandidates]:
        """Give the bank's features if it takes part, the distances (B, B + M) and the candidates; push the batch."""
        labels = labels2tensor(labels, features)
        self.bank.fit(features)
        bank = self.bank.features if self.bank.is_full else None
        distances, known_labels = pairwise_dist(features, features), labels
        if bank is not None:
            distances = torch.cat([distances, pairwise_dist(features, bank)], dim=1)
            known_labels = torch.cat([labels.to(self.bank.labels), self.bank.labels])
        positives = labels[:, None] == known_labels
        negatives = ~positives
        positives.fill_diagonal_(False)
        candidates = self.miner.choose(distances.detach(), positives, negatives)
        if self.need_logs:
            self._logs = _count_sources(candidates, len(features))
        if self.training:
            self.bank.push(features, labels)
        return bank, distances, candidates

    @staticmethod
    def _prepare_logs(ids_a: Any, ids_p: Any, ids_n: Any, ignore_anchor_mask: Any) -> dict[str, float]:
        """Give the logs for listed triplets, where the mask (B + M,) tells which items are of the bank."""
        is_banked = torch.as_tensor(ignore_anchor_mask, dtype=torch.bool)
        anchors = torch.as_tensor(ids_a, dtype=torch.long)
        n_anchors = max(1, len(torch.unique(anchors)))
        logs = {}
        for name, ids in (("positives", ids_p), ("negatives", ids_n)):
            pairs = torch.unique(torch.stack([anchors, torch.as_tensor(ids, dtype=torch.long)]), dim=1)
            n_banked = int(is_banked[pairs[1]].sum())
            logs[f"{name}_from_bank"] = n_banked / n_anchors
            logs[f"{name}_from_batch"] = (pairs.shape[1] - n_banked) / n_anchors
        return logs


def _count_sources(candidates: TripletCandidates, n_in_batch: int) -> dict[str, Tensor | float]:
    positives, negatives = candidates
    is_anchor = positives.exist.any(dim=1) & negatives.exist.any(dim=1)
    n_anchors = is_anchor.sum().clamp_min(1)
    logs: dict[str, Tensor | float] = {}
    for name, (exist, ids) in (("positives", positives), ("negatives", negatives)):
        places = torch.arange(exist.shape[1], device=exist.device) if ids is None else ids
        taken = exist & is_anchor[:, None]
        logs[f"{name}_from_bank"] = (taken & (places >= n_in_batch)).sum() / n_anchors
        logs[f"{name}_from_batch"] = (taken & (places < n_in_batch)).sum() / n_anchors
    return logs

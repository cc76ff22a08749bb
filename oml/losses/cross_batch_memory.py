"""A memory of earlier items for any loss of pairs."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from oml.errors import check
from oml.interfaces.miners import TLabels, labels2tensor
from oml.losses.pair_loss import PairLoss
from oml.miners.feature_bank import FeatureBank


class CrossBatchMemory(nn.Module):
    """
    Compares each batch with itself and with the last items before it.

    Wang et al. 2020, "Cross-Batch Memory for Embedding Learning", section 3.2. There the losses of the batch and of the
    memory, which holds the batch too, are added; here both are one set of candidates, nobody being his own. Gradients
    flow through the batch. Begin with the memory when the features drift slowly: `start` batches are compared with
    themselves alone. In evaluation mode nothing is remembered.

    The memory begins empty and is in `state_dict`, whatever is in it, so that training goes on exactly.

    Args:
        loss: A `PairLoss` of `oml.losses`, such as `MultiSimilarityLoss`.
        size: Items to remember, at least 1.
        start: Batches to wait before the memory is used; it is filled all the same.

    Raises:
        TypeError: the loss is of another kind.
        InvalidInputError: the size is below 1, or start below 0.

    Example:
        >>> from oml.losses import ContrastiveLoss
        >>> criterion = CrossBatchMemory(ContrastiveLoss(negative_margin=5.0), size=4)
        >>> features, labels = torch.tensor([[0.0], [1.0]]), torch.tensor([0, 1])
        >>> losses = [criterion(features, labels).item() for _ in range(3)]
        >>> len(criterion.memory), criterion.last_logs["pos_dist"]
        (4, 0.0)

    """

    criterion_name: ClassVar[str] = "cross_batch_memory"

    def __init__(self, loss: PairLoss, size: int, start: int = 0) -> None:
        if not isinstance(loss, PairLoss):
            raise TypeError(
                f"`loss` must be a PairLoss, which can be given further candidates, got {type(loss).__name__}. For "
                "triplets take TripletMinerWithMemory or MinerWithBank; classifiers and proxies need no memory."
            )
        check(isinstance(size, int) and size >= 1, f"`size` must be a whole number of at least 1, got {size!r}.")
        check(start >= 0, f"`start` must not be negative, got {start}.")
        super().__init__()
        self.loss = loss
        self.start = start
        self.memory = _Memory(size)

    def forward(self, features: Tensor, labels: TLabels) -> Tensor:
        """
        Give the loss of the batch, and remember it.

        Args:
            features: (B, D).
            labels: Integers (B,), a tensor or a list.

        Raises:
            InvalidInputError: there are not as many labels as features, or the memory holds features of another width.

        """
        labels_tensor = labels2tensor(labels, features)
        self.memory.fit(features)
        if len(self.memory) == 0 or self.memory.n_pushed < self.start:
            loss: Tensor = self.loss(features, labels_tensor)
        else:
            loss = self.loss(features, labels_tensor, self.memory.features, self.memory.labels, with_batch=True)
        if self.training:
            self.memory.push(features, labels_tensor)
        return loss

    @property
    def last_logs(self) -> dict[str, float]:
        """The logs of the loss, and how many items are remembered."""
        return {**self.loss.last_logs, "memory": float(len(self.memory))}


class _Memory(FeatureBank):
    """A bank that counts items, not batches."""

    def __init__(self, n_items: int) -> None:
        super().__init__(n_batches=n_items)
        self.n_items = n_items

    def push(self, features: Tensor, labels: Tensor) -> None:
        """Add a batch of features (B, D) and labels (B,); the oldest items leave if there are too many."""
        self.fit(features)
        self.features = torch.cat([self.features, features.detach().to(self.features.dtype)])[-self.n_items :]
        self.labels = torch.cat([self.labels, labels.to(self.labels)])[-self.n_items :]
        self.n_dropped += len(self) + len(features) - len(self.features)
        self.sizes = [len(self.features)]
        self.n_pushed += 1

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take what `get_extra_state` gave."""
        check(
            state["n_batches"] == self.n_items,
            f"This memory keeps {self.n_items} items (size), the one to be restored {state['n_batches']}: make them "
            "equal, or leave the memory out of the state and start with an empty one.",
        )
        super().set_extra_state(state)

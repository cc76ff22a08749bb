"""Features of the last batches, for miners that look beyond the batch."""

from typing import Any

import torch
from torch import Tensor, nn

from oml.errors import check


class FeatureBank(nn.Module):
    """
    Keeps the features and the labels of the last batches, of whatever sizes; starts empty.

    Features are kept detached, in float32 or float64 whatever precision they come in (under autocast, too), on the
    device of the last batch: a bank that was loaded elsewhere follows the features. All of it is in `state_dict`, so a
    run is continued exactly. Do not let DistributedDataParallel broadcast it: each process has a bank of its own (wrap
    the extractor only, or pass `broadcast_buffers=False`).

    Args:
        n_batches: How many batches to keep.

    Raises:
        InvalidInputError: n_batches is not a positive whole number.

    Example:
        >>> bank = FeatureBank(n_batches=2)
        >>> for value in (1.0, 2.0, 3.0):
        ...     bank.push(torch.full((2, 1), value), torch.tensor([0, 1]))
        >>> bank.features.flatten(), bank.is_full
        (tensor([2., 2., 3., 3.]), True)

    """

    features: Tensor
    labels: Tensor

    def __init__(self, n_batches: int) -> None:
        super().__init__()
        check(
            isinstance(n_batches, int) and not isinstance(n_batches, bool) and n_batches >= 1,
            f"bank_size_in_batches must be a whole number of at least 1, got {n_batches!r}.",
        )
        self.n_batches = n_batches
        self.sizes: list[int] = []  # of the batches kept; on the host, so that nothing waits for the device
        self.n_dropped = 0  # items that were in the bank and left
        self.n_pushed = 0  # batches so far
        self.register_buffer("features", torch.empty(0, 0))
        self.register_buffer("labels", torch.empty(0, dtype=torch.long))

    def __len__(self) -> int:
        """Give the number of items kept."""
        return sum(self.sizes)

    @property
    def is_full(self) -> bool:
        """Whether as many batches were pushed as are kept."""
        return len(self.sizes) == self.n_batches

    def fit(self, features: Tensor) -> None:
        """
        Make the bank comparable with the features (B, D): on their device, in their precision, at least float32.

        Raises:
            InvalidInputError: the bank holds features of another width.

        """
        width = self.features.shape[1]
        check(
            len(self) == 0 or features.shape[1] == width,
            f"The bank holds features of the width {width}, but the batch has {features.shape[1]}: it was filled, or "
            "restored, with another model. Empty it with reset(); in MatryoshkaLoss give one criterion per width.",
        )
        self.features = self.features.to(features.device, torch.promote_types(features.dtype, torch.float32))
        self.labels = self.labels.to(features.device)
        if len(self) == 0:
            self.features = self.features.new_empty(0, features.shape[1])

    def push(self, features: Tensor, labels: Tensor) -> None:
        """Add a batch of features (B, D) and labels (B,); the oldest batch leaves if there are too many."""
        self.fit(features)
        n_leaving = self.sizes.pop(0) if self.is_full else 0
        self.sizes.append(len(features))
        self.n_dropped += n_leaving
        self.n_pushed += 1
        # new tensors: the backward pass of the step may still need the old ones
        self.features = torch.cat([self.features[n_leaving:], features.detach().to(self.features.dtype)])
        self.labels = torch.cat([self.labels[n_leaving:], labels.to(self.labels)])

    def reset(self) -> None:
        """Forget everything."""
        self.sizes, self.n_dropped, self.n_pushed = [], 0, 0
        self.features, self.labels = self.features[:0], self.labels[:0]

    def get_extra_state(self) -> dict[str, Any]:
        """Give what is needed beside the buffers."""
        counts = {"sizes": list(self.sizes), "n_dropped": self.n_dropped, "n_pushed": self.n_pushed}
        return {"n_batches": self.n_batches, **counts}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """
        Take what `get_extra_state` gave.

        Raises:
            InvalidInputError: it is of a bank of another number of batches.

        """
        check(
            state["n_batches"] == self.n_batches,
            f"This bank keeps {self.n_batches} batches (bank_size_in_batches), the one to be restored "
            f"{state['n_batches']}: make them equal, or leave the bank out of the state and start with an empty one.",
        )
        self.sizes = list(state["sizes"])
        self.n_dropped, self.n_pushed = state["n_dropped"], state["n_pushed"]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if f"{prefix}_extra_state" in state_dict:
            self.set_extra_state(state_dict[f"{prefix}_extra_state"])  # raises before anything is taken
        for name in ("features", "labels"):
            if (value := state_dict.get(prefix + name)) is not None:
                # the parent copies into what has the same shape only
                setattr(self, name, torch.empty_like(value, device=getattr(self, name).device))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        """Give the size for printing."""
        return f"n_batches={self.n_batches}, n_items={len(self)}"

"""What goes wrong in training without an error: collapse, a loss that stands still, numbers that are not finite."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from oml.errors import check, show_some
from oml.losses.warn_once import WarnOnce

_LEAST_ITEMS = 8  # a batch of fewer says nothing about collapse
_LEAST_SPREAD = 0.01
_LEAST_RANK = 2.0
_NEAR = 0.02  # share of the margin that a loss may be off to count as stuck


class TrainingMonitor:
    """
    Looks at features and losses in training, and warns once of each trouble, with what usually helps.

    It keeps what it found last in `last_logs`:

    * `spread`: 1 - |mean of the unit vectors|^2, between 0 and 1: 0 if all features point one way.
    * `effective_rank`: the exponential of the entropy of the normalised singular values of the centred unit vectors
      (Roy, Vetterli 2007, "The effective rank"): how many dimensions are in use.

    Numbers that are not finite are looked for in each batch; on a CUDA device this is read every `every` batches only,
    so as not to wait for it, and the batch that they were in is named all the same.

    Args:
        margin: of the loss: hinge losses of distances stand at it when all distances are equal; "soft" for the soft
            margin of the triplet loss, which stands at log 2; None to leave this check out.
        every: batches between two looks at the spread and the rank.
        patience: looks in a row with the loss at its margin after which it is called stuck.

    Raises:
        InvalidInputError: `every` or `patience` is below 1.

    Example:
        >>> monitor = TrainingMonitor(margin=0.2, every=1)
        >>> monitor(torch.eye(8), loss=torch.tensor(0.1))
        >>> {name: round(value, 3) for name, value in monitor.last_logs.items()}
        {'spread': 0.875, 'effective_rank': 7.0}

    """

    def __init__(self, margin: float | Literal["soft"] | None = None, every: int = 50, patience: int = 5) -> None:
        for name, value in (("every", every), ("patience", patience)):
            check(value >= 1, f"`{name}` must be at least 1, got {value}.")
        self.margin = math.log(2) if margin == "soft" else margin
        self.every, self.patience = every, patience
        self.last_logs: dict[str, float] = {}
        self._n_batches, self._n_stuck = 0, 0
        self._pending: list[tuple[int, Tensor, Tensor, Sequence[Any] | Tensor | None]] = []
        self._warnings: dict[str, WarnOnce] = {}

    @torch.no_grad()
    def __call__(self, features: Tensor, loss: Tensor, ids: Sequence[Any] | Tensor | None = None) -> None:
        """
        Look at a batch.

        Args:
            features: (B, D).
            loss: of the batch, 0-d.
            ids: what the items are called in the data, (B,), for the warning.

        Raises:
            InvalidInputError: the number of ids is not that of the features.

        """
        check(
            ids is None or len(ids) == len(features),
            f"`ids` must be one per row of the features, got {0 if ids is None else len(ids)} for {len(features)}.",
        )
        self._pending.append((self._n_batches, features.isfinite().flatten(1).all(1), loss.isfinite(), ids))
        is_time = self._n_batches % self.every == 0
        self._n_batches += 1
        if is_time or features.device.type == "cpu":
            self._look_for_infinite()
        if is_time and len(features) and bool(features.isfinite().all()):
            self._look_at_features(features.detach().float())
            self._look_at_loss(float(loss))

    def _look_for_infinite(self) -> None:
        for batch, are_finite, is_loss_finite, ids in self._pending:
            bad = (~are_finite).nonzero()[:, 0].tolist()
            if bad or not bool(is_loss_finite):
                named = bad if ids is None else [ids[i].item() if isinstance(ids, Tensor) else ids[i] for i in bad]
                where = f"the features of items {show_some(named)}" if bad else "the loss, though not in the features"
                if not bad and ids is not None:
                    where += f" (items {show_some(list(ids.tolist() if isinstance(ids, Tensor) else ids))})"
                self._warn(
                    "infinite",
                    f"Batch {batch} has NaN or infinite numbers in {where}. Look at these inputs; lower the "
                    "learning rate, clip gradients (torch.nn.utils.clip_grad_norm_), and in float16 use a GradScaler.",
                )
        self._pending.clear()

    def _look_at_features(self, features: Tensor) -> None:
        units = torch.nn.functional.normalize(features)
        mean = units.mean(0)
        spread = float(1 - mean.square().sum())
        values = torch.linalg.svdvals(units - mean)
        shares = values / values.sum().clamp_min(torch.finfo(values.dtype).tiny)
        rank = float(torch.special.entr(shares).sum().exp())
        self.last_logs = {"spread": spread, "effective_rank": rank}
        if len(features) < _LEAST_ITEMS:
            return
        if spread < _LEAST_SPREAD:
            self._warn(
                "collapse",
                f"The features of a batch nearly coincide (spread {spread:.2g}): the model collapses. Lower the "
                "learning rate, begin with easier negatives (AllTripletsMiner instead of the hardest ones) or with the "
                "soft margin (margin=None), and check that the labels are not mixed up.",
            )
        elif rank < _LEAST_RANK and features.shape[1] > 2:
            self._warn(
                "rank",
                f"The features of a batch use {rank:.2g} of {features.shape[1]} dimensions. Lower the learning rate, "
                "and look at the last layers: too narrow a projection, dead ReLUs, too strong a weight decay.",
            )

    def _look_at_loss(self, loss: float) -> None:
        if self.margin is None:
            return
        is_near = abs(loss - self.margin) <= _NEAR * self.margin
        self._n_stuck = self._n_stuck + 1 if is_near else 0
        if self._n_stuck >= self.patience:
            self._warn(
                "stuck",
                f"The loss has stayed at its margin, {self.margin:.3g}, for {self._n_stuck * self.every} "
                "batches: positives and negatives are equally far. Lower the learning rate, mine easier triplets at "
                "first, or normalise the features.",
            )

    def _warn(self, name: str, message: str) -> None:
        self._warnings.setdefault(name, WarnOnce(message))(stacklevel=4)

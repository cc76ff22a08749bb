"""A loss of several lengths of the same embedding, so that it may be cut short."""

import inspect
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from oml.errors import check

_PARTS_OF_NAMES = ("feature", "emb", "anchor", "positive", "negative")


class MatryoshkaLoss(nn.Module):
    """
    The weighted sum of a loss of the first d features, for several d.

    Kusupati et al. 2022, "Matryoshka Representation Learning", equation 1. An embedding trained so can be cut to any of
    these widths.

    Args:
        loss: Any criterion; those with weights or a memory of their own, such as `ArcFaceLoss`, know one width only, so
            give one criterion per width then. `GatherAcrossDevices` goes around this loss, not inside.
        dims: Widths, each from 1 to the width of the features.
        weights: One number above 0 per width; 1 by default.

    Raises:
        InvalidInputError: no widths, repeated ones, or other numbers of weights or criteria than of widths.

    Example:
        >>> import torch
        >>> from oml.losses import TripletLossWithMiner
        >>> criterion = MatryoshkaLoss(TripletLossWithMiner(margin=1.0), dims=[2, 1], weights=[1.0, 0.5])
        >>> criterion(torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, 0.0]]), torch.tensor([7, 7, 9])).item()
        3.0

    """

    criterion_name = "matryoshka"

    def __init__(
        self, loss: nn.Module | Sequence[nn.Module], dims: Sequence[int], weights: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.dims = [int(dim) for dim in dims]
        self.weights = [1.0] * len(self.dims) if weights is None else [float(weight) for weight in weights]
        check(
            len(self.dims) > 0 and min(self.dims) >= 1 and len(set(self.dims)) == len(self.dims),
            f"`dims` must be different widths of at least 1, got {list(dims)}.",
        )
        check(
            len(self.weights) == len(self.dims) and min(self.weights) > 0,
            f"`weights` must be one number above 0 for each of the {len(self.dims)} widths, got {self.weights}.",
        )
        losses = [loss] * len(self.dims) if isinstance(loss, nn.Module) else list(loss)
        check(
            len(losses) == len(self.dims),
            f"`loss` must be one criterion, or one for each of the {len(self.dims)} widths, got {len(losses)}.",
        )
        self.losses = nn.ModuleList(losses)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """
        Give the sum of the losses; the arguments are those of the criterion, whose features are cut.

        Features are the tensors that the criterion calls features, embeddings, anchor, positive, negative or x.

        Raises:
            InvalidInputError: the features are narrower than the widest of the widths, or called by another name.

        """
        total: Tensor | None = None
        for loss, dim, weight in zip(self.losses, self.dims, self.weights, strict=True):
            bound = inspect.signature(loss.forward).bind(*args, **kwargs)
            cut = {name: value[..., :dim] for name, value in bound.arguments.items() if _are_features(name, value)}
            check(
                len(cut) > 0,
                f"`loss` must call its features by a name with {', '.join(_PARTS_OF_NAMES)} in it, or x, but the "
                f"arguments of {type(loss).__name__} are {', '.join(bound.arguments)}. Rename them; put wrappers, such "
                "as GatherAcrossDevices, around MatryoshkaLoss.",
            )
            for name, value in cut.items():
                check(
                    value.shape[-1] == dim,
                    f"`{name}` must have at least {dim} features, as `dims` says, got {value.shape[-1]}.",
                )
            bound.arguments.update(cut)
            part = weight * loss(*bound.args, **bound.kwargs)
            total = part if total is None else total + part
        assert total is not None  # there is at least one width
        return total

    @property
    def last_logs(self) -> dict[str, float]:
        """The logs of the criteria, "name_d" for the width d; of one criterion for all, those of the last width."""
        found: dict[str, float] = {}
        are_different = len({id(loss) for loss in self.losses}) == len(self.losses)
        for loss, dim in zip(self.losses, self.dims, strict=True):
            if are_different or dim == self.dims[-1]:
                found |= {f"{name}_{dim}": value for name, value in getattr(loss, "last_logs", {}).items()}
        return found

    def extra_repr(self) -> str:
        """Give the options for printing."""
        return f"dims={self.dims}, weights={self.weights}"


def _are_features(name: str, value: object) -> bool:
    return isinstance(value, Tensor) and (name == "x" or any(part in name for part in _PARTS_OF_NAMES))

"""A loss of the batches of all processes together."""

import torch
from torch import Tensor, nn

from oml.ddp.gathering import gather_rows
from oml.ddp.utils import is_ddp
from oml.errors import check


class GatherAcrossDevices(nn.Module):
    """
    Any criterion on the batches of all processes together, with the very gradients that one process would have.

    Every process gathers the features and the labels of all and computes the same loss; gradients flow into its own
    features. Train the model in `DistributedDataParallel`, which takes the mean of gradients over processes: parameters
    then get the gradients of one process with the whole batch. Parameters of the criterion itself (proxies) get these
    in each process with or without it. Without a group of processes it is the criterion alone.

    What the criterion does at random, such as a miner, must be the same in all processes: seed them alike.

    Args:
        criterion: Called with tensors whose rows are items, features first, and labels as tensors or lists.

    Example:
        >>> from oml.losses import TripletLossWithMiner
        >>> criterion = GatherAcrossDevices(TripletLossWithMiner(margin=0.5))
        >>> criterion(torch.tensor([[0.0], [2.0], [1.0]]), torch.tensor([7, 7, 9])).item()
        1.5

    """

    def __init__(self, criterion: nn.Module) -> None:
        super().__init__()
        self.criterion = criterion

    def forward(self, *inputs: Tensor | list[int]) -> Tensor:
        """
        Give the loss of the inputs of all processes.

        Args:
            inputs: What the criterion takes: features (B, D) and labels (B,), a tensor or a list of integers; or the
                features of two towers. B may differ between processes.

        Raises:
            InvalidInputError: inputs of other kinds; the processes differ in the width or dtype of their features.

        """
        gathered = self._gather(inputs) if is_ddp() else inputs
        loss: Tensor = self.criterion(*gathered)
        return loss

    @staticmethod
    def _gather(inputs: tuple[Tensor | list[int], ...]) -> list[Tensor]:
        device = next((x.device for x in inputs if isinstance(x, Tensor) and x.is_floating_point()), None)
        gathered = []
        for i, value in enumerate(inputs):
            is_list = isinstance(value, list) and all(isinstance(label, int) for label in value)
            check(
                isinstance(value, Tensor) or is_list,
                f"Only tensors and lists of integers can be gathered from other processes, but input {i} is "
                f"{type(value).__name__}. Give several labels per item as a multi-hot tensor (B, L).",
            )
            rows = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.int64)
            gathered.append(gather_rows(rows if device is None else rows.to(device, non_blocking=True)))
        return gathered

    @property
    def criterion_name(self) -> str:
        """Name of the criterion inside."""
        return str(getattr(self.criterion, "criterion_name", type(self.criterion).__name__))

    @property
    def last_logs(self) -> dict[str, float]:
        """The logs of the criterion, of all processes together."""
        logs: dict[str, float] = getattr(self.criterion, "last_logs", {})
        return logs

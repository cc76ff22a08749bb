"""What a criterion of the training loop must offer."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from oml.interfaces.miners import TLabels


class ITripletLossWithMiner(nn.Module, ABC):
    """A loss that mines triplets inside the batch it is given."""

    @abstractmethod
    def forward(self, features: Tensor, labels: TLabels) -> Tensor:
        """Give the loss of the features (B, D) with the labels (B,)."""

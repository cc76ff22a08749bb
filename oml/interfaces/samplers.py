"""What a batch sampler must offer."""

from abc import ABC, abstractmethod
from collections.abc import Iterator


class IBatchSampler(ABC):
    """Decides which items form each batch; passed to a loader as `DataLoader(dataset, batch_sampler=...)`."""

    @abstractmethod
    def __len__(self) -> int:
        """Give the number of batches in an epoch."""

    @abstractmethod
    def __iter__(self) -> Iterator[list[int]]:
        """Give the batches of an epoch, each a list of positions in the dataset."""

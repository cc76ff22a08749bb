"""What a postprocessor of retrieval results must offer."""

from abc import ABC, abstractmethod
from typing import Any


class IRetrievalPostprocessor(ABC):
    """Changes retrieval results after the search: cuts, re-ranks, fuses."""

    @abstractmethod
    def process(self, *args: Any, **kwargs: Any) -> Any:
        """Give new retrieval results; the given ones stay as they are."""

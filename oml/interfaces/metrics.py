"""What a metric of the validation loop must offer."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from torch import LongTensor

from oml.const import OVERALL_CATEGORIES_KEY

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TIndices = LongTensor | list[int]


class IBasicMetric(ABC):
    """A metric that collects batches and is computed once everything has been seen."""

    metric_name: str = "BASE"
    overall_categories_key: str = OVERALL_CATEGORIES_KEY

    @abstractmethod
    def setup(self, *args: Any, **kwargs: Any) -> None:
        """Forget what was collected and prepare for a new pass."""

    @abstractmethod
    def update_data(self, data: dict[str, Any], indices: TIndices) -> None:
        """Collect a batch whose items have these positions in the dataset."""

    @abstractmethod
    def compute_metrics(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Give `{"OVERALL": {...}, "<category>": {...}}`."""


class IMetricVisualisable(IBasicMetric, ABC):
    """A metric that can also draw what it has measured."""

    @abstractmethod
    def visualize(self) -> tuple[Collection["Figure"], Collection[str]]:
        """Give figures and their titles."""

    @abstractmethod
    def ready_to_visualize(self) -> bool:
        """Tell whether there is something to draw with."""

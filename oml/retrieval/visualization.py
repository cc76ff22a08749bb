"""The part of retrieval results that shows them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from oml.interfaces.datasets import IBaseDataset, IQueryGalleryDataset
from oml.retrieval.drawing import (
    TDrawFn,
    draw_results,
    get_query_gallery_functions,
    get_separate_functions,
    write_results_as_html,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class VisualizableResults(ABC):
    """Results that can be drawn, or shown on a page."""

    @property
    @abstractmethod
    def distances(self) -> Sequence[Tensor]:
        """Distances of the answers of each query, ascending."""

    @property
    @abstractmethod
    def retrieved_ids(self) -> Sequence[Tensor]:
        """Positions of the answers among the galleries, nearest first, of each query."""

    @abstractmethod
    def get_gt_ids(self, query: int) -> Tensor | None:
        """Give the relevant galleries of one query, or None if unknown."""

    def visualize(
        self,
        query_ids: list[int],
        dataset: IQueryGalleryDataset,
        n_galleries_to_show: int = 5,
        n_gt_to_show: int = 2,
        verbose: bool = False,
        show: bool = False,
    ) -> Figure:
        """
        Draw queries and their answers as `visualize_with_functions` does, from the dataset they come from.

        Raises:
            TypeError: the dataset cannot be drawn, or does not tell queries from galleries.
            RuntimeError: it has another number of queries.
            InvalidInputError: a query that is not there.

        """
        functions = get_query_gallery_functions(dataset, len(self.distances))
        return self.visualize_with_functions(query_ids, *functions, n_galleries_to_show, n_gt_to_show, show)

    def visualize_qg(
        self,
        query_ids: list[int],
        dataset_query: IBaseDataset,
        dataset_gallery: IBaseDataset,
        n_galleries_to_show: int = 5,
        n_gt_to_show: int = 2,
        verbose: bool = False,
        show: bool = False,
    ) -> Figure:
        """Draw queries and their answers where they come from two datasets; otherwise as `visualize`."""
        functions = get_separate_functions(dataset_query, dataset_gallery, len(self.distances))
        return self.visualize_with_functions(query_ids, *functions, n_galleries_to_show, n_gt_to_show, show)

    def visualize_with_functions(
        self,
        query_ids: list[int],
        visualize_query_fn: TDrawFn,
        visualize_gallery_fn: TDrawFn,
        n_galleries_to_show: int = 5,
        n_gt_to_show: int = 2,
        show: bool = False,
    ) -> Figure:
        """
        Draw a row per query: the query (blue), its answers and some of the relevant galleries (grey).

        Answers are green if relevant, red if not, black if that is unknown; their titles have the id and the distance.

        Args:
            query_ids: numbers of the queries to draw.
            visualize_query_fn: gives the picture (H, W, 3), uint8, of a query by its number and the colour of the
                frame.
            visualize_gallery_fn: likewise of a gallery.
            n_galleries_to_show: answers to draw per query.
            n_gt_to_show: relevant galleries to draw per query.
            show: display the figure.

        Raises:
            InvalidInputError: a query that is not there, a negative number of pictures.

        """
        return draw_results(
            self, query_ids, visualize_query_fn, visualize_gallery_fn, n_galleries_to_show, n_gt_to_show, show
        )

    def visualize_as_html(
        self,
        query_ids: list[int],
        dataset: IQueryGalleryDataset,
        n_galleries_to_show: int = 3,
        n_gt_to_show: int = 2,
        show: bool = False,
    ) -> str:
        """
        Write what `visualize` draws as one HTML table that needs no other files: to be read, played, and kept.

        Raises:
            InvalidInputError: the dataset cannot show its items as HTML, or a query that is not there.
            RuntimeError: the dataset has another number of queries.

        """
        return write_results_as_html(self, query_ids, dataset, n_galleries_to_show, n_gt_to_show, show)

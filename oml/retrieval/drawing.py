"""Figures of retrieval results: one row per query, its answers, and some of what should have been found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from torch import Tensor

from oml.const import BLACK, BLUE, GRAY, GREEN, RED, TColor
from oml.errors import check, show_some
from oml.interfaces.datasets import IHTMLVisualizableDataset, IQueryGalleryDataset, IVisualizableDataset
from oml.retrieval.checks import InvalidResultsError
from oml.utils.html import html_blocks_to_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from oml.retrieval.visualization import VisualizableResults

TDrawFn = Callable[[int, TColor], np.ndarray]


class Slot(NamedTuple):
    """A place in a figure: a query or a gallery by its number, the text above it, the colour of its frame."""

    is_query: bool
    number: int
    title: str
    color: TColor


def lay_out(
    rr: VisualizableResults, query_ids: Sequence[int], n_galleries_to_show: int, n_gt_to_show: int
) -> list[list[Slot | None]]:
    """
    Give a row per query: the query, its first answers, some of the relevant galleries; in the same columns in all rows.

    Raises:
        InvalidInputError: a query that is not there, a negative number of pictures.

    """
    n_queries = len(rr.distances)
    query_ids = [int(i) for i in query_ids]
    check(len(query_ids) > 0, "`query_ids` must name at least one query, got none. For instance: query_ids=[0, 1].")
    unknown = [i for i in query_ids if not 0 <= i < n_queries]
    check(not unknown, f"`query_ids` must be from 0 to {n_queries - 1}, got {show_some(unknown)}.")
    for name, value in (("n_galleries_to_show", n_galleries_to_show), ("n_gt_to_show", n_gt_to_show)):
        check(value >= 0, f"`{name}` must not be negative, got {value}.")
    return [_lay_out_row(rr, i, n_galleries_to_show, n_gt_to_show) for i in query_ids]


def draw_results(
    rr: VisualizableResults,
    query_ids: Sequence[int],
    visualize_query_fn: TDrawFn,
    visualize_gallery_fn: TDrawFn,
    n_galleries_to_show: int = 5,
    n_gt_to_show: int = 2,
    show: bool = False,
) -> Figure:
    """Draw what `VisualizableResults.visualize_with_functions` describes."""
    from oml.visualization.grid import GridCell, draw_grid

    def draw(slot: Slot | None) -> GridCell | None:
        if slot is None:
            return None
        return GridCell(
            (visualize_query_fn if slot.is_query else visualize_gallery_fn)(slot.number, slot.color), slot.title
        )

    rows = lay_out(rr, query_ids, n_galleries_to_show, n_gt_to_show)
    figure = draw_grid([[draw(slot) for slot in row] for row in rows])
    if show:
        show_figure(figure)
    return figure


def write_results_as_html(
    rr: VisualizableResults,
    query_ids: Sequence[int],
    dataset: Any,
    n_galleries_to_show: int,
    n_gt_to_show: int,
    show: bool,
) -> str:
    """Write what `VisualizableResults.visualize_as_html` describes."""
    check(
        isinstance(dataset, IHTMLVisualizableDataset) and isinstance(dataset, IQueryGalleryDataset),
        "`dataset` must show its items as HTML (IHTMLVisualizableDataset) and tell queries from galleries "
        f"(IQueryGalleryDataset), got {type(dataset).__name__}.",
    )
    ids_query, ids_gallery = dataset.get_query_ids(), dataset.get_gallery_ids()
    _check_n_queries(len(ids_query), len(rr.distances))

    def write(slot: Slot | None) -> str:
        if slot is None:
            return ""
        item = int((ids_query if slot.is_query else ids_gallery)[slot.number])
        block: str = dataset.visualize_as_html(item, slot.title, slot.color)
        return block

    rows = lay_out(rr, query_ids, n_galleries_to_show, n_gt_to_show)
    html = html_blocks_to_grid([[write(slot) for slot in row] for row in rows])
    if show:
        _show_html(html)
    return html


def get_query_gallery_functions(dataset: Any, n_queries: int) -> tuple[TDrawFn, TDrawFn]:
    """
    Give functions that draw the queries and the galleries of one dataset by their numbers.

    Raises:
        TypeError: the dataset does not tell queries from galleries, or cannot be drawn.
        InvalidResultsError: it has another number of queries than the results.

    """
    if not isinstance(dataset, IQueryGalleryDataset):
        raise TypeError(
            "`dataset` must tell queries from galleries (IQueryGalleryDataset), got "
            f"{type(dataset).__name__}. For two separate datasets use `visualize_qg`."
        )
    _check_visualizable(dataset, "dataset")
    query_ids, gallery_ids = dataset.get_query_ids(), dataset.get_gallery_ids()
    _check_n_queries(len(query_ids), n_queries)
    return _make_draw_fn(dataset, query_ids), _make_draw_fn(dataset, gallery_ids)


def get_separate_functions(dataset_query: Any, dataset_gallery: Any, n_queries: int) -> tuple[TDrawFn, TDrawFn]:
    """
    Give functions that draw the queries of one dataset and the galleries of another by their numbers.

    Raises:
        TypeError: a dataset cannot be drawn.
        InvalidResultsError: the first has another number of items than the results have queries.

    """
    _check_visualizable(dataset_query, "dataset_query")
    _check_visualizable(dataset_gallery, "dataset_gallery")
    _check_n_queries(len(dataset_query), n_queries)
    return _make_draw_fn(dataset_query), _make_draw_fn(dataset_gallery)


def show_figure(figure: Figure) -> None:
    """Display a figure: in the notebook where there is one, else in a window, where there is a display."""
    from matplotlib import pyplot as plt

    # pyplot shows only figures of its own: lend it this one
    window = plt.figure(figsize=figure.get_size_inches())
    manager = window.canvas.manager
    figure.set_canvas(window.canvas)
    if manager is not None:
        manager.canvas.figure = figure
    plt.show()


def _show_html(html: str) -> None:
    try:
        from IPython.display import HTML, display
    except ImportError as error:
        raise ImportError("Pages are shown in notebooks, which need IPython: pip install ipython") from error
    display(HTML(html))


def _lay_out_row(rr: VisualizableResults, query: int, n_galleries: int, n_gt: int) -> list[Slot | None]:
    ids, distances = rr.retrieved_ids[query][:n_galleries].tolist(), rr.distances[query].tolist()
    gts = rr.get_gt_ids(query)
    relevant = None if gts is None else gts.tolist()
    row: list[Slot | None] = [Slot(True, query, f"Query {query}", BLUE)]
    for i, distance in zip(ids, distances, strict=False):
        color = BLACK if relevant is None else GREEN if i in relevant else RED
        row.append(Slot(False, i, f"{i} - {distance:.3f}", color))
    row.extend([None] * (n_galleries - len(ids)))
    row.extend(Slot(False, i, f"GT {i}", GRAY) for i in (relevant or [])[:n_gt])
    return row


def _make_draw_fn(dataset: Any, positions: Tensor | None = None) -> TDrawFn:
    def draw(number: int, color: TColor) -> np.ndarray:
        picture: np.ndarray = dataset.visualize(number if positions is None else int(positions[number]), color)
        return picture

    return draw


def _check_visualizable(dataset: Any, name: str) -> None:
    if not isinstance(dataset, IVisualizableDataset):
        raise TypeError(
            f"`{name}` must be able to draw its items (IVisualizableDataset: visualize(item, color)), got "
            f"{type(dataset).__name__}. Functions that draw can be given to `visualize_with_functions`."
        )


def _check_n_queries(n_given: int, n_expected: int) -> None:
    if n_given != n_expected:
        raise InvalidResultsError(
            f"The dataset has {n_given} queries, the results have {n_expected}. "
            "Give the dataset that they were made from."
        )

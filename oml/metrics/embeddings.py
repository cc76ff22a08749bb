"""Metrics of embeddings that come in batches; with it, under their documented names, those of retrieval results."""

import inspect
import logging
import warnings
from collections.abc import Collection, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from torch import Tensor

from oml.const import (
    CATEGORIES_COLUMN,
    EMBEDDINGS_KEY,
    LOG_TOPK_IMAGES_PER_ROW,
    LOG_TOPK_ROWS_PER_METRIC,
    N_GT_SHOW_EMBEDDING_METRICS,
    OVERALL_CATEGORIES_KEY,
)
from oml.ddp.utils import get_world_size_safe, is_main_process
from oml.errors import InvalidInputError, check, show_some
from oml.functional.metrics import TMetricsDict, calc_topological_metrics, reduce_metrics
from oml.functional.metrics.fnmr import check_shares
from oml.functional.metrics.hits import check_top_k
from oml.interfaces.datasets import IQueryGalleryLabeledDataset, IVisualizableDataset
from oml.interfaces.metrics import IMetricVisualisable, TIndices
from oml.interfaces.retrieval import IRetrievalPostprocessor
from oml.metrics.accumulation import Accumulator
from oml.metrics.of_results import calc_fnmr_at_fmr_rr, calc_retrieval_metrics_rr
from oml.metrics.verification import calc_fnmr_at_fmr_of_dataset
from oml.metrics.worst_queries import find_worst_queries, pick_metrics_to_draw, read_categories
from oml.retrieval import RetrievalResults

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["EmbeddingMetrics", "calc_fnmr_at_fmr_rr", "calc_retrieval_metrics_rr", "calc_topological_metrics"]

_logger = logging.getLogger("oml")


class EmbeddingMetrics(IMetricVisualisable):
    """
    Collects embeddings of a validation set batch by batch, in any order, and measures retrieval with them.

    In a group of processes each one collects its part, and all of them get the metrics of the whole.

    Args:
        dataset: queries, galleries and labels; its items are counted by `indices` of `update`. `extra_data["category"]`
            adds metrics per category, `extra_data["sequence"]` excludes galleries of the query's sequence.
        cmc_top_k: cut-offs of CMC; an empty tuple leaves a metric out.
        precision_top_k: likewise of precision.
        map_top_k: likewise of MAP.
        fmr_vals: false match rates at which the false non-match rate is measured, over all pairs of a query and a
            gallery. They are compared in blocks, and never kept all at once if there are too many of them, unless there
            is a postprocessor: its results then have to hold all galleries.
        pcf_variance: shares of variance for PCF.
        postprocessor: changes the results before they are measured. Its `process` gets, beside the results, `dataset`
            and `embeddings` if it has such parameters.
        metrics_to_exclude_from_visualization: names, such as "cmc"; "fnmr@fmr" and "pcf" are always excluded.
        return_only_overall_category: leave out the metrics of each category.
        visualize_only_overall_category: draw nothing for each category.
        verbose: log the metrics (logger "oml", level INFO, main process only) and show a progress of the search.

    Attributes:
        acc: the `Accumulator` with the embeddings.
        retrieval_results: what was measured; None before `compute_metrics`.
        metrics: means, as `compute_metrics` gave them.
        metrics_unreduced: the same with values per query.

    Example:
        >>> import numpy as np, torch
        >>> class Two(IQueryGalleryLabeledDataset):
        ...     extra_data = {}
        ...     def __getitem__(self, item): return {"idx": item}
        ...     def __len__(self): return 2
        ...     def get_labels(self): return np.array([7, 7])
        ...     def get_query_ids(self): return torch.tensor([0, 1])
        ...     def get_gallery_ids(self): return torch.tensor([0, 1])
        >>> metric = EmbeddingMetrics(Two(), cmc_top_k=(1,), precision_top_k=(), map_top_k=())
        >>> metric.setup()
        >>> metric.update(torch.tensor([[0.0, 1.0], [1.0, 1.0]]), indices=[1, 0])
        >>> metric.compute_metrics()
        {'OVERALL': {'cmc': {1: tensor(1.)}, 'pcf': {0.5: tensor(0.5000)}}}

    """

    metric_name = ""
    retrieval_results: RetrievalResults | None
    metrics: TMetricsDict
    metrics_unreduced: TMetricsDict
    _query_categories: list[Any] | None

    def __init__(
        self,
        dataset: IQueryGalleryLabeledDataset | None,
        cmc_top_k: Sequence[int] = (5,),
        precision_top_k: Sequence[int] = (5,),
        map_top_k: Sequence[int] = (5,),
        fmr_vals: Sequence[float] = (),
        pcf_variance: Sequence[float] = (0.5,),
        postprocessor: IRetrievalPostprocessor | None = None,
        metrics_to_exclude_from_visualization: Collection[str] = (),
        return_only_overall_category: bool = False,
        visualize_only_overall_category: bool = True,
        verbose: bool = True,
    ):
        for cut_offs in filter(len, (cmc_top_k, precision_top_k, map_top_k)):
            check_top_k(cut_offs)
        for name, shares in (("fmr_vals", fmr_vals), ("pcf_variance", pcf_variance)):
            if len(shares):
                check_shares(name, shares)
        if len(fmr_vals):
            warnings.warn(
                "`fmr_vals` makes EmbeddingMetrics compare every query with every gallery: this may take long on large "
                "sets. Leave it empty if FNMR@FMR is not needed.",
                UserWarning,
                stacklevel=2,
            )
        self.dataset = dataset
        self.cmc_top_k, self.precision_top_k, self.map_top_k = cmc_top_k, precision_top_k, map_top_k
        self.fmr_vals, self.pcf_variance = fmr_vals, pcf_variance
        self.postprocessor = postprocessor
        self.metrics_to_exclude_from_visualization = ["fnmr@fmr", "pcf", *metrics_to_exclude_from_visualization]
        self.return_only_overall_category = return_only_overall_category
        self.visualize_only_overall_category = visualize_only_overall_category
        self.verbose = verbose
        self.acc = Accumulator(keys_to_accumulate=(EMBEDDINGS_KEY,))
        self._forget()

    def setup(self, num_samples: int | None = None) -> None:
        """
        Forget what was collected and measured, and prepare for a new pass.

        Args:
            num_samples: number of items that this process will get: the length of the dataset by default, in a group of
                processes an equal share of it, rounded up.

        Raises:
            InvalidInputError: the number is not positive, or is needed because there is no dataset.

        """
        self._forget()
        n_processes = max(1, get_world_size_safe())
        self.acc.refresh(-(-len(self._get_dataset()) // n_processes) if num_samples is None else num_samples)

    def update(self, embeddings: Tensor, indices: TIndices) -> None:
        """
        Collect a batch.

        Args:
            embeddings: (B, D).
            indices: positions of the items in the dataset, (B,).

        Raises:
            ValueError: called before `setup`, more items than announced, or sizes that do not match.

        """
        self.update_data({EMBEDDINGS_KEY: embeddings}, indices)

    def update_data(self, data: dict[str, Any], indices: TIndices) -> None:
        """Collect `data["embeddings"]`; otherwise as `update`."""
        self.acc.update_data(data, indices)

    def compute_metrics(self) -> TMetricsDict:
        """
        Measure what was collected; in a group of processes all of them must call it.

        Returns:
            `{"OVERALL": {"cmc": {k: value}, ...}, category: {...}}` with 0-d tensors. "fnmr@fmr" is under "OVERALL"
            only; a category without queries has nothing but "pcf".

        Raises:
            ValueError: items are missing, or an index is not in the dataset; embeddings that are not finite; with
                `fmr_vals`, no pair that matches, or none that does not.

        """
        dataset = self._get_dataset()
        embeddings = self._gather_embeddings(len(dataset))
        results = RetrievalResults.from_embeddings(embeddings, dataset, self._get_depth(), self.verbose)
        if self.postprocessor is not None:
            results = self.postprocessor.process(results, **self._get_extra_arguments(embeddings))
        categories = getattr(dataset, "extra_data", {}).get(CATEGORIES_COLUMN)
        names = None if categories is None else read_categories(categories)
        of_queries = None if names is None else [names[i] for i in dataset.get_query_ids().tolist()]
        top_k = (self.cmc_top_k, self.precision_top_k, self.map_top_k)
        retrieval = calc_retrieval_metrics_rr(results, of_queries, *top_k, reduce=False)
        topology = calc_topological_metrics(embeddings, self.pcf_variance, names)
        if names is None:
            retrieval, topology = {OVERALL_CATEGORIES_KEY: retrieval}, {OVERALL_CATEGORIES_KEY: topology}
        found = {category: {**retrieval.get(category, {}), **topology[category]} for category in topology}
        found[OVERALL_CATEGORIES_KEY] |= (
            calc_fnmr_at_fmr_of_dataset(embeddings, dataset, self.fmr_vals)
            if self.postprocessor is None
            else calc_fnmr_at_fmr_rr(results, self.fmr_vals)  # whatever the postprocessor made of the distances
        )
        if self.return_only_overall_category:
            found = {OVERALL_CATEGORIES_KEY: found[OVERALL_CATEGORIES_KEY]}
        self.retrieval_results, self._query_categories = results, of_queries
        self.metrics_unreduced, self.metrics = found, reduce_metrics(found)
        if self.verbose and is_main_process():
            _logger.info("Metrics: %s", self.metrics)
        return self.metrics

    def ready_to_visualize(self) -> bool:
        """Tell whether the dataset can draw its items."""
        return isinstance(self.dataset, IVisualizableDataset)

    def visualize(self) -> tuple[Collection["Figure"], Collection[str]]:
        """Give a figure of the worst queries for each metric, and their titles: `top 5 worst by OVERALL_cmc_1`."""
        self._get_results()
        names = pick_metrics_to_draw(
            self.metrics, self.metrics_to_exclude_from_visualization, self.visualize_only_overall_category
        )
        n_queries, n_instances = LOG_TOPK_ROWS_PER_METRIC, LOG_TOPK_IMAGES_PER_ROW
        figures = [self.get_plot_for_worst_queries(name, n_queries, n_instances) for name in names]
        return figures, [f"top {n_queries} worst by {name}".replace("/", "_") for name in names]

    def get_worst_queries_ids(self, metric_name: str, n_queries: int) -> list[int]:
        """
        Give the numbers of the queries with the lowest values, the worst first, equal ones by their number.

        Args:
            metric_name: as in "OVERALL/cmc/1".
            n_queries: how many at most.

        Raises:
            InvalidInputError: nothing was computed yet, or there is no such metric (the nearest names are given).

        """
        self._get_results()
        return find_worst_queries(metric_name, n_queries, self.metrics_unreduced, self._query_categories)

    def get_plot_for_worst_queries(
        self, metric_name: str, n_queries: int, n_instances: int, verbose: bool = False
    ) -> "Figure":
        """Draw the queries of `get_worst_queries_ids` as `get_plot_for_queries` does."""
        return self.get_plot_for_queries(self.get_worst_queries_ids(metric_name, n_queries), n_instances, verbose)

    def get_plot_for_queries(self, query_ids: list[int], n_instances: int, verbose: bool = True) -> "Figure":
        """
        Draw a row per query with its first answers and some of its relevant galleries.

        Args:
            query_ids: numbers of the queries.
            n_instances: answers to draw per query.
            verbose: show a progress.

        Raises:
            InvalidInputError: nothing was computed yet, or a query that is not there.
            TypeError: the dataset cannot draw its items.

        """
        return self._get_results().visualize(
            query_ids, self._get_dataset(), n_instances, N_GT_SHOW_EMBEDDING_METRICS, verbose
        )

    def _forget(self) -> None:
        self.retrieval_results, self._query_categories = None, None
        self.metrics, self.metrics_unreduced = {}, {}

    def _get_dataset(self) -> IQueryGalleryLabeledDataset:
        if self.dataset is None:
            raise InvalidInputError("EmbeddingMetrics has no dataset to measure with: give one, or set `.dataset`.")
        return self.dataset

    def _get_results(self) -> RetrievalResults:
        if self.retrieval_results is None:
            raise InvalidInputError("Nothing has been measured yet: call `compute_metrics` first.")
        return self.retrieval_results

    def _gather_embeddings(self, n_items: int) -> Tensor:
        synced = self.acc.sync()
        ids = synced.storage.get(synced._indices_key, [])
        strange = [i for i in ids if not 0 <= i < n_items]
        check(not strange, f"`indices` must be positions in the dataset of {n_items} items, got {show_some(strange)}.")
        absent = sorted(set(range(n_items)).difference(ids))
        check(
            not absent,
            f"Embeddings of {len(absent)} of the {n_items} items of the dataset have not come: those at positions "
            f"{show_some(absent)}. Go through the whole dataset (drop_last=False).",
        )
        embeddings: Tensor = synced.storage[EMBEDDINGS_KEY]
        return embeddings

    def _get_depth(self) -> int:
        """Give how many answers per query the metrics and the postprocessor look at."""
        n_galleries = len(self._get_dataset().get_gallery_ids())
        depths = [1, *chain(self.cmc_top_k, self.precision_top_k, self.map_top_k)]
        if self.postprocessor is not None:
            depths.append(n_galleries if len(self.fmr_vals) else getattr(self.postprocessor, "top_n", n_galleries))
        return max(depths)

    def _get_extra_arguments(self, embeddings: Tensor) -> dict[str, Any]:
        """Give what `process` of the postprocessor takes beside the results."""
        offered = {"dataset": self.dataset, "embeddings": embeddings}
        known = inspect.signature(self.postprocessor.process).parameters  # type: ignore[union-attr]
        return {name: value for name, value in offered.items() if name in known}

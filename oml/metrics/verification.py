"""Verification: how well a threshold on the distance tells pairs of one label from pairs of two."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from oml.errors import InvalidInputError, check, show_some
from oml.functional.metrics import TMetricsDict
from oml.functional.metrics.fnmr import check_shares
from oml.functional.metrics.verification import Rate, VerificationCurve, calc_eer, calc_min_dcf, calc_tar_at_far
from oml.functional.metrics.verification_distances import BinnedDistances, SortedDistances, collect_distances
from oml.functional.metrics.verification_pairs import Pairs, TMatrix
from oml.functional.search_exclusion import TKeys
from oml.interfaces.datasets import IQueryGalleryLabeledDataset
from oml.retrieval.from_datasets import get_sequence_from_dataset, number_values

TLabels = Sequence[Hashable] | np.ndarray | Tensor

MAX_MEMORY = 256 * 2**20


@dataclass(frozen=True)
class VerificationMetrics:
    """
    What `calc_verification_metrics` gives.

    Each rate has a value, the threshold where it is reached, and bounds that hold the exact rate; where all distances
    were kept the bounds are the value.
    """

    n_pos: int  # pairs of one label
    n_neg: int  # pairs of two
    method: Literal["exact", "histogram"]  # whether all distances were kept, or counted in bins
    bin_width: float  # how far a threshold is from the exact one at most; 0 if exact
    tar_at_far: dict[float, Rate]
    fnmr_at_fmr: dict[float, Rate]
    eer: Rate
    min_dcf: Rate
    curve: VerificationCurve  # (far, tar) is the ROC curve, (far, frr) the DET curve


def calc_verification_metrics(
    embeddings: TMatrix,
    labels: TLabels,
    *,
    embeddings_gallery: TMatrix | None = None,
    labels_gallery: TLabels | None = None,
    sequence_ids: TLabels | None = None,
    sequence_ids_gallery: TLabels | None = None,
    far_vals: Sequence[float] = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
    fmr_vals: Sequence[float] = (0.1,),
    p_target: float = 0.01,
    c_miss: float = 1,
    c_fa: float = 1,
    max_memory: int = MAX_MEMORY,
) -> VerificationMetrics:
    """
    Give TAR@FAR, FNMR@FMR, EER, minDCF, ROC and DET over all pairs, in bounded memory whatever their number is.

    Pairs are those of two different rows of `embeddings`, each once; or, with `embeddings_gallery`, those of a row of
    each. A pair is accepted if its L2 distance is at most the threshold. If all distances fit into `max_memory` they
    are kept and all rates are exact. Otherwise they are counted in at least 65,536 bins: the points of the curve and
    the bounds of all rates are then exact counts of distances from float32 products (see `calc_distances` for the
    rounding of these; float64 embeddings are multiplied in float64).

    The definitions are those of `calc_tar_at_far`, `calc_eer` and `calc_min_dcf` in
    `oml.functional.metrics.verification`, and of `oml.functional.metrics.calc_fnmr_at_fmr`.

    Args:
        embeddings: (N, D), a floating point tensor or array, memory-mapped too.
        labels: (N,), anything hashable.
        embeddings_gallery: (M, D).
        labels_gallery: (M,).
        sequence_ids: (N,), anything hashable; pairs within a sequence do not count.
        sequence_ids_gallery: (M,).
        far_vals: false acceptance rates for TAR@FAR.
        fmr_vals: false match rates for FNMR@FMR.
        p_target: prior probability of a match, for minDCF.
        c_miss: cost of rejecting a match, for minDCF.
        c_fa: cost of accepting a pair of two labels, for minDCF.
        max_memory: bytes to take beyond the input.

    Raises:
        InvalidInputError: sizes that do not match, one of a pair of arguments without the other, NaN or infinite
            embeddings (the first rows are named), no pair that matches, or none that does not, too little memory.
        ValueError: rates outside [0, 1].

    Example:
        >>> embeddings = torch.tensor([[0.0], [1.0], [5.0], [5.5]])
        >>> found = calc_verification_metrics(embeddings, ["a", "a", "b", "b"], far_vals=(0.0,))
        >>> found.method, found.n_pos, found.n_neg, found.tar_at_far[0.0].value, found.eer.value
        ('exact', 2, 4, 1.0, 0.0)

    """
    for name, values in (("far_vals", far_vals), ("fmr_vals", fmr_vals)):
        if len(values):
            check_shares(name, values)
    check(0 < p_target < 1, f"`p_target` must be a probability between 0 and 1, got {p_target}.")
    check(c_miss > 0 and c_fa > 0, f"`c_miss` and `c_fa` must be positive, got {c_miss} and {c_fa}.")
    pairs = _make_pairs(
        (embeddings, embeddings_gallery), (labels, labels_gallery), (sequence_ids, sequence_ids_gallery)
    )
    distances = collect_distances(pairs, max_memory)
    _check_both_kinds(distances)
    curve = distances.make_curve()
    return VerificationMetrics(
        n_pos=distances.n_pos,
        n_neg=distances.n_neg,
        method="exact" if curve.is_exact else "histogram",
        bin_width=distances.bin_width,
        tar_at_far=dict(zip(far_vals, calc_tar_at_far(curve, far_vals), strict=True)),
        fnmr_at_fmr=dict(zip(fmr_vals, distances.calc_fnmr(fmr_vals), strict=True)),
        eer=calc_eer(curve),
        min_dcf=calc_min_dcf(curve, p_target, c_miss, c_fa),
        curve=curve,
    )


def calc_fnmr_at_fmr_of_dataset(
    embeddings: Tensor,
    dataset: IQueryGalleryLabeledDataset,
    fmr_vals: Sequence[float],
    max_memory: int = MAX_MEMORY,
) -> TMetricsDict:
    """
    Give `{"fnmr@fmr": {rate: value}}` over all pairs of a query and a gallery that could be its answer.

    The same as `calc_fnmr_at_fmr_rr` of results with all galleries, without searching for them. Where the distances do
    not fit into the memory they are counted in bins, see `calc_verification_metrics`.

    Args:
        embeddings: (len(dataset), D).
        dataset: queries, galleries, labels and sequences.
        fmr_vals: rates from 0 to 1; none give `{}`.
        max_memory: bytes to take beyond the input.

    Raises:
        InvalidInputError: no pair that matches, or none that does not; embeddings that are not finite.

    """
    if not len(fmr_vals):
        return {}
    check_shares("fmr_vals", fmr_vals)
    _check_matrix(embeddings, "embeddings")
    queries, galleries = dataset.get_query_ids(), dataset.get_gallery_ids()
    is_symmetric = torch.equal(queries, galleries) and len(torch.unique(queries)) == len(queries)
    keys = [torch.as_tensor(dataset.get_labels()), get_sequence_from_dataset(dataset)]
    labels, *exclude = [(key[queries], key[galleries]) for key in keys if key is not None]
    if not is_symmetric:
        exclude.append((queries, galleries))
    distances = collect_distances(
        Pairs(embeddings, embeddings, labels, exclude, queries, galleries, is_symmetric), max_memory
    )
    _check_both_kinds(distances)
    rates = distances.calc_fnmr(fmr_vals, n_each=2 if is_symmetric else 1)
    return {"fnmr@fmr": {fmr: torch.tensor(rate.value) for fmr, rate in zip(fmr_vals, rates, strict=True)}}


def _make_pairs(
    embeddings: tuple[TMatrix, TMatrix | None],
    labels: tuple[TLabels, TLabels | None],
    sequence_ids: tuple[TLabels | None, TLabels | None],
) -> Pairs:
    first, second = embeddings
    is_symmetric = second is None
    check((labels[1] is None) == is_symmetric, "Give both `embeddings_gallery` and `labels_gallery`, or none of them.")
    check(
        sequence_ids[1] is None if is_symmetric else (sequence_ids[0] is None) == (sequence_ids[1] is None),
        "Sequences are needed for both sides or for none: `sequence_ids` and, with `embeddings_gallery`, "
        "`sequence_ids_gallery`.",
    )
    _check_matrix(first, "embeddings")
    if second is not None:
        _check_matrix(second, "embeddings_gallery")
        check(
            first.shape[1] == second.shape[1],
            f"Both sides must have the same number of features, got {first.shape[1]} and {second.shape[1]}.",
        )
    galleries = first if second is None else second
    sizes = len(first), len(galleries)
    exclude = [] if sequence_ids[0] is None else [_number(sequence_ids, sizes, "sequence_ids")]
    return Pairs(first, galleries, _number(labels, sizes, "labels"), exclude, is_symmetric=is_symmetric)


def _number(values: tuple[TLabels | None, TLabels | None], sizes: tuple[int, int], name: str) -> TKeys:
    """Give equal integers for equal values of both sides; the first side serves for both if there is one only."""
    given = [list(v.tolist() if isinstance(v, Tensor | np.ndarray) else v) for v in values if v is not None]
    for part, size, suffix in zip(given, sizes, ("", "_gallery"), strict=False):
        check(len(part) == size, f"`{name}{suffix}` must have one value per embedding, got {len(part)} for {size}.")
    numbers = number_values([value for part in given for value in part])
    return numbers[: sizes[0]], numbers[-sizes[1] :] if sizes[1] else numbers[:0]


def _check_matrix(matrix: TMatrix, name: str) -> None:
    is_float = matrix.is_floating_point() if isinstance(matrix, Tensor) else np.issubdtype(matrix.dtype, np.floating)
    check(
        matrix.ndim == 2 and bool(is_float),
        f"`{name}` must be floating point numbers of the shape (n, D), got {matrix.dtype} {tuple(matrix.shape)}.",
    )
    bad: list[int] = []
    for start in range(0, len(matrix), 4096):
        part = matrix[start : start + 4096]
        block = part if isinstance(part, Tensor) else torch.from_numpy(np.array(part))
        bad += (start + (~block.isfinite().all(1)).nonzero()[:, 0]).tolist()
    shown = show_some(bad)
    check(not bad, f"`{name}` must be finite, but {len(bad)} row(s) hold NaN or infinite numbers: rows {shown}.")


def _check_both_kinds(distances: SortedDistances | BinnedDistances) -> None:
    if not (distances.n_pos and distances.n_neg):
        raise InvalidInputError(
            f"Verification needs pairs that match and pairs that do not, got {distances.n_pos} and {distances.n_neg}: "
            "there must be at least two labels, and one of them must occur in a pair that is not excluded."
        )

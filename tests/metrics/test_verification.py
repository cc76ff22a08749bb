import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oml.errors import InvalidInputError
from oml.functional.metrics import calc_fnmr_at_fmr
from oml.functional.metrics.verification_distances import BinnedDistances, SortedDistances, collect_distances
from oml.functional.metrics.verification_pairs import Pairs
from oml.metrics import calc_fnmr_at_fmr_rr, calc_verification_metrics
from oml.metrics.verification import calc_fnmr_at_fmr_of_dataset
from oml.retrieval import RetrievalResults
from tests.reference import verification as reference
from tests.retrieval.datasets import LabelledSplit

FARS = (0.0, 0.01, 0.2)
LITTLE = 2**23  # too little for all distances of some hundreds of rows


def make_rows(n, seed=0, dim=4):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 6, n)
    return rng.normal(size=(6, dim))[labels] + rng.normal(size=(n, dim)), labels, rng.integers(0, n, n)


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("two_sides", [False, True])
@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "array", "memmap"])
def test_equals_the_plain_loop(sequences, two_sides, kind, tmp_path):
    rows, labels, groups = make_rows(41)
    rows = rows.astype(kind if kind.startswith("float") else np.float32)
    if kind == "memmap":
        np.save(tmp_path / "rows.npy", rows)
        rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    given = rows if kind in ("array", "memmap") else torch.from_numpy(rows)
    cut = 17 if two_sides else 41
    sides = (slice(0, cut), slice(cut if two_sides else 0, None))
    names = [f"label {i}" for i in labels]
    settings = {"embeddings_gallery": given[sides[1]], "labels_gallery": names[sides[1]]} if two_sides else {}
    if sequences:
        settings |= {"sequence_ids": groups[sides[0]]}
        settings |= {"sequence_ids_gallery": groups[sides[1]]} if two_sides else {}
    found = calc_verification_metrics(given[sides[0]], names[sides[0]], far_vals=FARS, fmr_vals=(0.1, 0.6), **settings)
    arguments = [part[side] for part in (rows, labels) for side in sides]
    arguments += [groups[side] for side in sides] if sequences else []
    pos, neg = reference.list_distances(*arguments, is_symmetric=not two_sides)
    assert (found.method, found.n_pos, found.n_neg, found.bin_width) == ("exact", len(pos), len(neg), 0)
    for far in FARS:
        assert found.tar_at_far[far].value == pytest.approx(reference.tar_at_far(pos, neg, far))
    expected = calc_fnmr_at_fmr(pos, neg, (0.1, 0.6)).tolist()
    assert [rate.value for rate in found.fnmr_at_fmr.values()] == pytest.approx(expected)
    assert found.eer.value == pytest.approx(reference.equal_error_rate(pos, neg))
    assert found.min_dcf.value == pytest.approx(reference.min_dcf(pos, neg, 0.01, 1, 1))


@pytest.mark.parametrize("two_sides", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bins_bound_the_exact_rates(two_sides, dtype):
    rows, labels, groups = make_rows(2200)
    rows = torch.from_numpy(rows).to(dtype)
    rows[::50] = rows[0]  # equal rows
    settings = {"sequence_ids": groups[:1100] if two_sides else groups, "far_vals": FARS}
    if two_sides:
        settings |= {"embeddings_gallery": rows[1100:], "labels_gallery": labels[1100:]}
        settings |= {"sequence_ids_gallery": groups[1100:]}
        rows, labels = rows[:1100], labels[:1100]
    exact = calc_verification_metrics(rows, labels, **settings, max_memory=2**30)
    found = calc_verification_metrics(rows, labels, **settings, max_memory=LITTLE)
    assert (exact.method, found.method) == ("exact", "histogram")
    assert (found.n_pos, found.n_neg) == (exact.n_pos, exact.n_neg)
    assert 0 < found.bin_width < exact.curve.thresholds[-1] / 2**15
    rates = [(exact.eer, found.eer), (exact.min_dcf, found.min_dcf)]
    rates += [(exact.tar_at_far[far], found.tar_at_far[far]) for far in FARS]
    rates += [(exact.fnmr_at_fmr[0.1], found.fnmr_at_fmr[0.1])]
    slack = 0 if dtype == torch.float64 else 3 / exact.n_pos  # pairs that rounding moves over the end of a bin
    for expected, binned in rates:
        assert binned.low - slack <= expected.value <= binned.high + slack
        assert binned.high - binned.low < 2e-3
        assert binned.threshold == pytest.approx(expected.threshold, abs=2 * found.bin_width)


@given(st.integers(2, 30), st.integers(0, 100))
def test_moving_and_scaling_change_nothing(n, seed):
    rows, labels, _ = make_rows(n, seed)
    labels[:2] = 9
    labels[-1] = labels[-1] if n > 2 else 0
    if len(set(labels.tolist())) == len(labels) or len(set(labels.tolist())) == 1:
        return
    first = calc_verification_metrics(rows, labels, far_vals=FARS)
    other = calc_verification_metrics(rows * 4 + 8, labels, far_vals=FARS)
    assert first.eer.value == pytest.approx(other.eer.value)
    assert [r.value for r in first.tar_at_far.values()] == [r.value for r in other.tar_at_far.values()]


@pytest.mark.parametrize(
    ("queries", "galleries"), [(range(60), range(60)), (range(25), range(15, 60)), (range(30), range(30, 60))]
)
def test_of_a_dataset_equals_that_of_all_results(queries, galleries):
    rows, labels, groups = make_rows(60)
    dataset = LabelledSplit(labels, list(queries), list(galleries), sequences=groups.tolist())
    embeddings = torch.from_numpy(rows).float()
    rr = RetrievalResults.from_embeddings(embeddings, dataset, n_items=60)
    expected = calc_fnmr_at_fmr_rr(rr, (0.1, 0.5))
    found = calc_fnmr_at_fmr_of_dataset(embeddings, dataset, (0.1, 0.5))
    torch.testing.assert_close(found, expected)
    assert calc_fnmr_at_fmr_of_dataset(embeddings, dataset, ()) == {}


def test_memory_decides():
    rows, labels, _ = make_rows(1500)
    pairs = Pairs(rows, rows, (torch.from_numpy(labels),) * 2, is_symmetric=True)
    assert isinstance(collect_distances(pairs, 2**30), SortedDistances)
    assert isinstance(collect_distances(pairs, LITTLE), BinnedDistances)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": [1, 2]}, "`labels` must have one value per embedding, got 2 for 4"),
        ({"labels": [1, 2, 3, 4]}, "pairs that match and pairs that do not, got 0 and 6: there must be"),
        ({"labels": [1, 1, 1, 1]}, "got 6 and 0"),
        ({"embeddings": torch.ones(4)}, r"shape \(n, D\), got torch.float32 \(4,\)"),
        ({"embeddings": torch.ones(4, 2, dtype=torch.int64)}, "must be floating point numbers"),
        ({"embeddings": torch.tensor([[0.0], [torch.nan], [1.0], [torch.inf]])}, "2 row.* infinite numbers: rows 1, 3"),
        ({"embeddings_gallery": torch.ones(2, 2)}, "Give both `embeddings_gallery` and `labels_gallery`"),
        ({"embeddings_gallery": torch.ones(2, 3), "labels_gallery": [1, 2]}, "same number of features, got 2 and 3"),
        ({"embeddings_gallery": torch.ones(1, 2), "labels_gallery": [1, 2]}, "`labels_gallery` must have one value"),
        ({"sequence_ids_gallery": [1]}, "for both sides or for none"),
        ({"sequence_ids": [1]}, "`sequence_ids` must have one value per embedding, got 1 for 4"),
        ({"far_vals": (2,)}, "`far_vals` must be one or more numbers from 0 to 1"),
        ({"fmr_vals": (-1,)}, "`fmr_vals` must be one or more numbers from 0 to 1"),
        ({"p_target": 1}, "`p_target` must be a probability between 0 and 1, got 1"),
        ({"c_fa": 0}, "`c_miss` and `c_fa` must be positive, got 1 and 0"),
        ({"max_memory": 5}, "`max_memory` must be at least 8388608 bytes, got 5"),
    ],
)
def test_bad_input(settings, message):
    arguments = {"embeddings": torch.eye(4, 2), "labels": [1, 1, 2, 2], **settings}
    with pytest.raises(ValueError, match=message):
        calc_verification_metrics(arguments.pop("embeddings"), arguments.pop("labels"), **arguments)


def test_nothing_to_compare():
    for n in (0, 1):
        with pytest.raises(InvalidInputError, match="got 0 and 0"):
            calc_verification_metrics(torch.ones(n, 2), [1] * n)


def test_one_pair_of_each():
    found = calc_verification_metrics(
        torch.tensor([[0.0], [1.0]]), [1, 2], embeddings_gallery=torch.tensor([[0.0]]), labels_gallery=[1]
    )
    assert (found.n_pos, found.n_neg, found.eer.value, found.min_dcf.value) == (1, 1, 0, 0)

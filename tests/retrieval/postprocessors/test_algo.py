from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oml.errors import InvalidInputError
from oml.retrieval import AdaptiveThresholding, ConstantThresholding, RetrievalResults


def make_results(rows, gts=None):
    rows = [torch.tensor(row, dtype=torch.float32) for row in rows]
    return RetrievalResults(rows, [torch.arange(len(row)).flip(0) for row in rows], gts)


def to_lists(rows):
    return [row.tolist() for row in rows]


# steps of 1/8 are exact, so that a gap can be equal to a limit
ROWS = st.lists(st.lists(st.integers(0, 40).map(lambda n: n / 8), max_size=7).map(sorted), max_size=6)


@settings(max_examples=80, deadline=None)
@given(rows=ROWS, th=st.integers(-1, 41).map(lambda n: n / 8))
def test_constant_threshold(rows, th):
    found = ConstantThresholding(th).process(make_results(rows))
    assert to_lists(found.distances) == [[d for d in row if d < th] for row in rows]
    expected_ids = [list(range(len(row)))[::-1][: sum(d < th for d in row)] for row in rows]
    assert to_lists(found.retrieved_ids) == expected_ids


def test_constant_threshold_where_rounding_left_the_order_in_doubt():
    eps = torch.finfo(torch.float32).eps
    found = ConstantThresholding(1.0).process(make_results([[0.0, 1.0 + eps, 1.0 - eps, 2.0]]))
    assert to_lists(found.retrieved_ids) == [[3, 1]]


def cut_plainly(rows, n_std):
    gaps = [b - a for row in rows for a, b in pairwise(row)]
    mean = sum(gaps) / len(gaps) if gaps else 0.0
    cut = []
    for row in rows:
        kept = row[:1]
        for a, b in pairwise(row):
            if b - a > n_std * mean:
                break
            kept = [*kept, b]
        cut.append(kept)
    return cut


@settings(max_examples=80, deadline=None)
@given(rows=ROWS, n_std=st.sampled_from([-1, 0, 0.5, 1, 1.5, 2.5]))
def test_adaptive_threshold(rows, n_std):
    rr = make_results(rows)
    found = AdaptiveThresholding(n_std).process(rr)
    assert to_lists(found.distances) == cut_plainly(rows, n_std)
    assert to_lists(rr.distances) == rows
    expected_ids = [list(range(len(row)))[::-1] for row in rows]
    assert to_lists(found.retrieved_ids) == [
        ids[: len(kept)] for ids, kept in zip(expected_ids, found.distances, strict=True)
    ]


def test_the_gap_itself_is_not_above_the_limit():
    assert to_lists(AdaptiveThresholding(n_std=1).process(make_results([[0, 1, 2], [5, 6]])).distances) == [
        [0, 1, 2],
        [5, 6],
    ]


def test_many_blocks(monkeypatch):
    from oml.retrieval.postprocessors import algo

    rows = torch.rand(20, 6, generator=torch.Generator().manual_seed(0)).sort(1).values
    rr = make_results(rows.tolist())
    whole = AdaptiveThresholding().process(rr)
    monkeypatch.setattr(algo, "_BLOCK", 12)
    assert AdaptiveThresholding().process(rr) == whole


@pytest.mark.parametrize("postprocessor", [ConstantThresholding(0.5), AdaptiveThresholding()])
class TestBoth:
    def test_nothing_to_cut(self, postprocessor):
        assert len(postprocessor.process(make_results([]))) == 0
        found = postprocessor.process(make_results([[], []]))
        assert found.is_empty()
        assert to_lists(postprocessor.process(make_results([[0.25], []])).distances) == [[0.25], []]

    def test_the_result_is_a_copy_with_the_same_ground_truth(self, postprocessor):
        rr = make_results([[0.1, 0.2]], gts=[torch.tensor([1, 5])])
        found = postprocessor.process(rr, dataset=None, embeddings=None)
        assert to_lists(found.gt_ids) == [[1, 5]]
        found.retrieved_ids[0][:] = 7
        found.distances[0][:] = 7
        found.gt_ids[0][:] = 7
        assert to_lists(rr.retrieved_ids) == [[1, 0]]
        assert rr.distances[0][0] < 1
        assert to_lists(rr.gt_ids) == [[1, 5]]

    def test_dtype_is_kept(self, postprocessor):
        rr = RetrievalResults([torch.tensor([0.1, 9.0], dtype=torch.float64)], [torch.tensor([0, 1])])
        assert postprocessor.process(rr).distances[0].dtype == torch.float64


def test_errors():
    with pytest.raises(InvalidInputError, match="`th` must be a number, got nan"):
        ConstantThresholding(float("nan"))
    with pytest.raises(InvalidInputError, match="`n_std` must be a number, got nan"):
        AdaptiveThresholding(float("nan"))

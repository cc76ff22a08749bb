from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oml.errors import InvalidInputError
from oml.functional.metrics import (
    Hits,
    calc_cmc,
    calc_fnmr_at_fmr,
    calc_fnmr_at_fmr_by_distances,
    calc_map,
    calc_pcf,
    calc_precision,
    calc_retrieval_metrics,
    calc_topological_metrics,
    map_at_r,
    recall_at,
    reduce_metrics,
    take_unreduced_metrics_by_mask,
)
from tests.reference import metrics as reference

# answers of a query (relevant or not) and how many more relevant galleries there are
queries = st.lists(st.tuples(st.lists(st.booleans(), max_size=12), st.integers(0, 4)), max_size=8)


def to_rows(given_queries):
    hits = [row for row, _ in given_queries]
    n_gts = [sum(row) + n_missed for row, n_missed in given_queries]
    return hits, n_gts, [torch.tensor(row, dtype=torch.bool) for row in hits]


@settings(max_examples=200, deadline=None)
@given(queries=queries, top_k=st.lists(st.integers(1, 15), min_size=1, max_size=3))
def test_equal_references(queries, top_k):
    hits, n_gts, rows = to_rows(queries)
    by_function = {
        calc_cmc: reference.calc_cmc,
        calc_precision: reference.calc_precision,
        calc_map: reference.calc_map,
        lambda rows, n_gts, top_k: recall_at(Hits.from_rows(rows, n_gts), top_k): reference.calc_recall,
    }
    for function, calc_expected in by_function.items():
        values = function(rows, n_gts, top_k=tuple(top_k))
        assert len(values) == len(top_k)
        for k, of_k in zip(top_k, values, strict=True):
            assert of_k.dtype == torch.float32
            expected = [calc_expected(h, n, k) for h, n in zip(hits, n_gts, strict=True)]
            np.testing.assert_allclose(of_k.numpy(), expected, rtol=1e-6)  # float32
    expected = [reference.calc_map_at_r(h, n) for h, n in zip(hits, n_gts, strict=True)]
    np.testing.assert_allclose(map_at_r(Hits.from_rows(rows, n_gts)).numpy(), expected, rtol=1e-6)


@settings(max_examples=50, deadline=None)
@given(queries=queries)
def test_values_are_shares_and_cmc_grows(queries):
    _, n_gts, rows = to_rows(queries)
    top_k = (1, 2, 5, 20)
    for function in (calc_cmc, calc_precision, calc_map):
        assert all(((v >= 0) & (v <= 1)).all() for v in function(rows, n_gts, top_k))
    cmc = calc_cmc(rows, n_gts, top_k)
    assert all((a <= b).all() for a, b in pairwise(cmc))


@pytest.mark.parametrize("function", [calc_cmc, calc_precision, calc_map])
@pytest.mark.parametrize("top_k", [(), (0,), (0, -1), (1.5, 2), (1.0, 2.0)])
def test_bad_cut_offs(function, top_k):
    with pytest.raises(ValueError, match="`top_k` must be one or more positive integers, got"):
        function([torch.tensor([True])], [1], top_k)


def test_different_numbers_of_queries():
    with pytest.raises(InvalidInputError, match="must have one value per query, got 1 and 2"):
        calc_cmc([torch.tensor([True])], [1, 1], (1,))
    with pytest.raises(AssertionError, match="must have one tensor per query, got 1 and 0"):
        calc_retrieval_metrics([torch.tensor([1])], [])


@pytest.mark.parametrize(
    "categories",
    [
        [3, 5, 3],
        np.array([3, 5, 3]),
        torch.tensor([3, 5, 3]),
        ["a", "b", "a"],
        np.array(["a", "b", "a"]),
        [(1, 2), None, (1, 2)],
    ],
)
def test_categories(categories):
    ids = [torch.tensor([0, 1]), torch.tensor([4, 2]), torch.tensor([3])]
    gts = [torch.tensor([1]), torch.tensor([4, 7]), torch.tensor([0])]
    found = calc_retrieval_metrics(ids, gts, categories, cmc_top_k=(1, 2), precision_top_k=(), map_top_k=(2,))
    first, second = list(dict.fromkeys(categories.tolist() if hasattr(categories, "tolist") else categories))
    expected = {
        "OVERALL": {"cmc": {1: 1 / 3, 2: 2 / 3}, "map": {2: 0.5}},
        first: {"cmc": {1: 0.0, 2: 0.5}, "map": {2: 0.25}},
        second: {"cmc": {1: 1.0, 2: 1.0}, "map": {2: 1.0}},
    }
    assert list(found) == list(expected)
    for category, metrics in expected.items():
        assert {name: list(of_name) for name, of_name in found[category].items()} == {
            n: list(v) for n, v in metrics.items()
        }
        for name, of_name in metrics.items():
            for k, value in of_name.items():
                assert found[category][name][k].ndim == 0
                assert found[category][name][k].item() == pytest.approx(value)


def test_values_per_query_and_without_categories():
    found = calc_retrieval_metrics([torch.tensor([0])] * 2, [torch.tensor([0]), torch.tensor([1])], reduce=False)
    assert {name: found[name][5].tolist() for name in found} == {"cmc": [1, 0], "precision": [1, 0], "map": [1, 0]}


def test_category_errors():
    ids = [torch.tensor([0])] * 2
    with pytest.raises(InvalidInputError, match="one category per item: got 3 for 2 items"):
        calc_retrieval_metrics(ids, ids, query_categories=[1, 2, 3])
    with pytest.raises(InvalidInputError, match="must not be called 'OVERALL'"):
        calc_retrieval_metrics(ids, ids, query_categories=["OVERALL", "a"])


def test_reduction_and_masks():
    metrics = {"a": {1: torch.tensor([1.0, 2.0, 6.0]), "b": np.array([1.0, 3.0])}, "c": 7, "d": torch.tensor(4.0)}
    reduced = reduce_metrics(metrics)
    assert reduced == {"a": {1: torch.tensor(3.0), "b": 2.0}, "c": 7, "d": torch.tensor(4.0)}
    per_query = {"cmc": {1: torch.tensor([1.0, 2.0, 6.0])}, "pcf": torch.tensor([0.5])}
    for mask in (torch.tensor([True, False, True]), np.array([True, False, True])):
        taken = take_unreduced_metrics_by_mask(per_query, mask)
        assert taken["cmc"][1].tolist() == [1.0, 6.0]
        assert taken["pcf"].tolist() == [0.5]


@settings(max_examples=100, deadline=None)
@given(
    positives=st.lists(st.integers(0, 9), min_size=1, max_size=12),
    negatives=st.lists(st.integers(0, 9), min_size=1, max_size=12),
    rates=st.lists(st.sampled_from([0, 0.25, 0.5, 0.75, 1]), min_size=1, max_size=3),
)
def test_fnmr_equals_reference(positives, negatives, rates):
    values = calc_fnmr_at_fmr(np.array(positives, dtype=float), torch.tensor(negatives, dtype=torch.float64), rates)
    expected = [reference.calc_fnmr_at_fmr(positives, negatives, rate) for rate in rates]
    np.testing.assert_allclose(values.numpy(), expected, rtol=1e-6)


def test_fnmr_by_distances():
    pos, neg = np.array([0, 0, 1, 1, 2, 2, 5, 5, 9, 9]), np.array([3, 3, 4, 4, 6, 6, 7, 7, 8, 8])
    assert calc_fnmr_at_fmr_by_distances(pos, neg, ()) == {}
    found = calc_fnmr_at_fmr_by_distances(pos, neg, (0.1, 0.5))
    assert found["fnmr@fmr"][0.1].item() == pytest.approx(0.4)
    assert found["fnmr@fmr"][0.5].item() == pytest.approx(0.2)


@pytest.mark.parametrize("rates", [(), (0, -1), (101,)])
def test_fnmr_bad_rates(rates):
    with pytest.raises(ValueError, match="`fmr_vals` must be one or more numbers from 0 to 1"):
        calc_fnmr_at_fmr(np.ones(2), np.ones(2), rates)


def test_fnmr_without_pairs():
    with pytest.raises(ValueError, match="`neg_dist` must hold at least one distance"):
        calc_fnmr_at_fmr(np.ones(2), np.ones(0))
    with pytest.raises(ValueError, match="`pos_dist` must hold at least one distance"):
        calc_fnmr_at_fmr(torch.ones(0), np.ones(2))


@pytest.mark.parametrize(("n", "dim"), [(2, 5), (5, 5), (40, 7), (9000, 3)])
def test_pcf_equals_svd(n, dim, generator):
    embeddings = torch.randn(n, dim, generator=generator, dtype=torch.float64)
    variances = torch.linalg.svdvals(embeddings - embeddings.mean(0)) ** 2
    explained = variances.cumsum(0) / variances.sum()
    for share in (0.1, 0.5, 0.9):
        assert calc_pcf(embeddings, (share,))[0].item() == pytest.approx((int((explained <= share).sum()) + 1) / dim)


def test_pcf_special_cases():
    assert [v.item() for v in calc_pcf(torch.eye(4, 10), (0.5, 1))] == pytest.approx([0.2, 0.5])
    assert calc_pcf(torch.ones(6, 4), (0.5,))[0].item() == 0.25  # no variance
    assert calc_pcf(torch.ones(1, 4), (0.5,))[0].item() == 0.25
    assert calc_pcf(torch.full((3, 4), torch.nan), (0.5,))[0].isnan()
    assert calc_pcf(torch.ones(0, 4), (0.5,))[0].isnan()
    for shares in ((), (1.5,), (-0.1,)):
        with pytest.raises(ValueError, match="`pcf_variance` must be one or more numbers from 0 to 1"):
            calc_pcf(torch.eye(3), shares)


def test_topological_metrics_of_categories(generator):
    embeddings = torch.randn(20, 6, generator=generator)
    categories = ["a"] * 8 + ["b"] * 12
    found = calc_topological_metrics(embeddings, (0.5,), categories)
    assert found == {
        "OVERALL": {"pcf": {0.5: calc_pcf(embeddings, (0.5,))[0]}},
        "a": {"pcf": {0.5: calc_pcf(embeddings[:8], (0.5,))[0]}},
        "b": {"pcf": {0.5: calc_pcf(embeddings[8:], (0.5,))[0]}},
    }
    assert calc_topological_metrics(embeddings, ()) == {}
    with pytest.raises(InvalidInputError, match="got 20 for 19 items"):
        calc_topological_metrics(embeddings[:19], (0.5,), categories)

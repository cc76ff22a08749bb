"""The metrics by their standard definitions: against plain references, and against other libraries."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oml.functional import metrics
from oml.functional.metrics import Hits
from oml.functional.metrics.hit_bytes import pack_bytes, sum_precisions, sum_weights
from tests.reference import metrics as reference

# answers of a query (relevant or not) and how many more relevant galleries there are
queries = st.lists(st.tuples(st.lists(st.booleans(), max_size=20), st.integers(0, 4)), max_size=8)
CUT_OFF = {
    metrics.cmc_at: reference.calc_cmc,
    metrics.precision_standard_at: reference.calc_precision_standard,
    metrics.map_standard_at: reference.calc_map_standard,
    metrics.map_trec_at: reference.calc_map_trec,
    metrics.ndcg_at: reference.calc_ndcg,
    metrics.mrr_at: reference.calc_mrr,
    metrics.recall_at: reference.calc_recall,
}
WITHOUT_CUT_OFF = {
    metrics.map_at_r: reference.calc_map_at_r,
    metrics.r_precision: reference.calc_r_precision,
    metrics.minp: reference.calc_minp,
    metrics.mrr: lambda hits, n_gt: reference.calc_mrr(hits, n_gt, 1000),
}


def make_hits(given_queries):
    rows = [torch.tensor(row, dtype=torch.bool) for row, _ in given_queries]
    return Hits.from_rows(rows, [sum(row) + n_missed for row, n_missed in given_queries])


@pytest.mark.parametrize("function", CUT_OFF, ids=lambda f: f.__name__)
@settings(max_examples=60, deadline=None)
@given(queries=queries, top_k=st.lists(st.integers(1, 25), min_size=1, max_size=4))
def test_with_a_cut_off(function, queries, top_k):
    values = function(make_hits(queries), top_k)
    assert len(values) == len(top_k)
    for k, of_k in zip(top_k, values, strict=True):
        assert of_k.dtype == torch.float32
        expected = [CUT_OFF[function](row, sum(row) + n, k) for row, n in queries]
        np.testing.assert_allclose(of_k.numpy(), expected, rtol=1e-6)  # float32


@pytest.mark.parametrize("function", WITHOUT_CUT_OFF, ids=lambda f: f.__name__)
@settings(max_examples=60, deadline=None)
@given(queries=queries)
def test_without_a_cut_off(function, queries):
    values = function(make_hits(queries))
    assert values.dtype == torch.float32
    expected = [WITHOUT_CUT_OFF[function](row, sum(row) + n) for row, n in queries]
    np.testing.assert_allclose(values.numpy(), expected, rtol=1e-6)  # float32


@pytest.mark.parametrize("function", CUT_OFF, ids=lambda f: f.__name__)
@pytest.mark.parametrize("top_k", [(), (0,), (1.0,), (True,)])
def test_bad_cut_offs(function, top_k):
    with pytest.raises(ValueError, match="`top_k` must be one or more positive integers, got"):
        function(make_hits([([True], 0)]), top_k)


@pytest.mark.parametrize("width", [0, 1, 7, 8, 9, 31, 100])
def test_bytes_equal_cumulative_sums(width):
    is_hit = np.random.default_rng(width).random((50, width)) < 0.3
    codes = pack_bytes(torch.from_numpy(is_hit))
    assert codes.shape == ((width + 7) // 8, 50)
    top_k = (9, 1, 8, 1000, 16)
    weights = np.random.default_rng(0).random(112)
    gains = is_hit * is_hit.cumsum(1) / np.arange(1, width + 1)
    for k, total, (n_found, precisions) in zip(
        top_k, sum_weights(codes, weights, top_k), sum_precisions(codes, top_k), strict=True
    ):
        np.testing.assert_allclose(total, (is_hit * weights[:width])[:, :k].sum(1), atol=1e-12)
        np.testing.assert_array_equal(n_found, is_hit[:, :k].sum(1))
        np.testing.assert_allclose(precisions, gains[:, :k].sum(1), atol=1e-12)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda(generator):
    is_hit = torch.rand(60, 21, generator=generator) < 0.3
    hits = Hits(is_hit, torch.full((60,), 21), is_hit.sum(1) + 1)
    on_cuda = Hits(hits.is_hit.cuda(), hits.lengths.cuda(), hits.n_gts.cuda())
    for function in CUT_OFF:
        for value, of_cpu in zip(function(on_cuda, (1, 12)), function(hits, (1, 12)), strict=True):
            assert value.is_cuda
            assert torch.equal(value.cpu(), of_cpu)
    assert all(torch.equal(function(on_cuda).cpu(), function(hits)) for function in WITHOUT_CUT_OFF)


@pytest.fixture(scope="module")
def random_hits():
    """40 queries among 30 galleries, all of which are answers, at least one of them relevant."""
    is_hit = torch.rand(40, 30, generator=torch.Generator().manual_seed(3)) < 0.2
    is_hit[:, 4] = True
    return Hits(is_hit, torch.full((40,), 30), is_hit.sum(1))


@pytest.mark.parametrize("k", [1, 5, 40])
def test_equal_torchmetrics(random_hits, k):
    from torchmetrics.functional import retrieval as peer

    scores = torch.arange(30.0, 0, -1)
    pairs = {
        metrics.precision_standard_at: peer.retrieval_precision,
        metrics.recall_at: peer.retrieval_recall,
        metrics.cmc_at: peer.retrieval_hit_rate,
        metrics.map_at: peer.retrieval_average_precision,
        metrics.mrr_at: peer.retrieval_reciprocal_rank,
        metrics.ndcg_at: peer.retrieval_normalized_dcg,
    }
    for ours, theirs in pairs.items():
        expected = torch.stack([theirs(scores, row, top_k=k) for row in random_hits.is_hit])
        torch.testing.assert_close(ours(random_hits, (k,))[0], expected.float(), rtol=1e-5, atol=1e-6)
    expected = torch.stack([peer.retrieval_r_precision(scores, row) for row in random_hits.is_hit])
    torch.testing.assert_close(metrics.r_precision(random_hits), expected)


@pytest.mark.parametrize("k", [3, 30])
def test_equal_sklearn(random_hits, k):
    from sklearn.metrics import average_precision_score, ndcg_score

    target, scores = random_hits.is_hit.numpy(), np.tile(-np.arange(30.0), (40, 1))
    mean = float(metrics.ndcg_at(random_hits, (k,))[0].mean())
    assert mean == pytest.approx(ndcg_score(target, scores, k=k), rel=1e-6)
    expected = [average_precision_score(row, s) for row, s in zip(target, scores, strict=True)]
    np.testing.assert_allclose(metrics.map_trec_at(random_hits, (30,))[0].numpy(), expected, rtol=1e-6)


def test_equal_pytorch_metric_learning(random_hits):
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    # one query of label 1 at a time: its galleries have labels of their own
    by_name = {"precision_at_1": metrics.cmc_at(random_hits, (1,))[0], "r_precision": metrics.r_precision(random_hits)}
    by_name["mean_average_precision_at_r"] = metrics.map_at_r(random_hits)
    by_name["mean_average_precision"] = metrics.map_at(random_hits, (30,))[0]
    by_name["mean_reciprocal_rank"] = metrics.mrr(random_hits)
    for i in range(6):
        labels = random_hits.is_hit[i].long()
        calculator = AccuracyCalculator(
            include=tuple(by_name),
            k=30,
            knn_func=lambda query, k, *_: (None, torch.arange(30)[None]),
            device=torch.device("cpu"),
        )
        found = calculator.get_accuracy(torch.zeros(1, 2), torch.tensor([1]), torch.zeros(30, 2), labels)
        assert found == pytest.approx({name: float(values[i]) for name, values in by_name.items()}, rel=1e-5)


def test_equal_ranx(random_hits, monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its import emits warnings of its dependencies
        import numba

        monkeypatch.setattr(numba.config, "DISABLE_JIT", True)  # compiling takes half a minute
        from ranx import metrics as peer

    # ids and scores
    galleries = np.arange(30.0)
    runs = [np.stack([galleries, 30 - galleries], axis=1)] * len(random_hits.lengths)
    qrels = [np.stack([galleries, np.ones(30)], axis=1)[row] for row in random_hits.is_hit.numpy()]
    pairs = {
        metrics.precision_standard_at: peer.precision,
        metrics.recall_at: peer.recall,
        metrics.map_trec_at: peer.average_precision,
        metrics.ndcg_at: peer.ndcg,
        metrics.mrr_at: peer.reciprocal_rank,
        metrics.cmc_at: peer.hit_rate,
    }
    for ours, theirs in pairs.items():
        np.testing.assert_allclose(ours(random_hits, (5,))[0].numpy(), theirs(qrels, runs, 5), rtol=1e-6)
    np.testing.assert_allclose(metrics.r_precision(random_hits).numpy(), peer.r_precision(qrels, runs), rtol=1e-6)

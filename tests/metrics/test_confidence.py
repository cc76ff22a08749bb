import numpy as np
import pytest
import torch

from oml.errors import InvalidInputError
from oml.metrics.comparison import compare
from oml.metrics.confidence import Interval
from oml.metrics.evaluation import evaluate
from oml.retrieval import RetrievalResults
from oml.retrieval.ground_truth import LabelGroundTruth

N_LABELS, N_OF_LABEL = 20, 6


def make_results(quality, seed=0, labels=None):
    """Give results of 120 queries in 120 galleries; queries of a label are alike, `quality` is the share of hits."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(N_LABELS).repeat_interleave(N_OF_LABEL) if labels is None else labels
    is_good = (torch.rand(N_LABELS, generator=generator) < quality)[labels]
    ids = torch.arange(120)
    first = torch.where(is_good, ids, (ids + N_OF_LABEL) % 120)  # a gallery of the own label, or of the next
    return RetrievalResults.from_arrays(torch.zeros(120, 1), first[:, None], None, LabelGroundTruth(labels, labels))


@pytest.fixture
def rr():
    return make_results(0.6)


def test_intervals(rr):
    found = evaluate(rr, ["cmc@1", "precision@1"], ci=True)
    estimate = found["cmc@1"]
    assert estimate.mean == evaluate(rr, ["cmc@1"])["cmc@1"]
    assert estimate.over_queries.low < estimate.mean < estimate.over_queries.high
    # all queries of a label are alike: there are 20 observations rather than 120
    widths = [interval.high - interval.low for interval in (estimate.over_queries, estimate.over_labels)]
    assert widths[1] / widths[0] == pytest.approx(6**0.5, rel=0.2)
    assert found["precision@1"] == estimate  # the same values and the same draws
    assert evaluate(rr, ["cmc@1"], ci=True, seed=0)["cmc@1"] == estimate
    assert evaluate(rr, ["cmc@1"], ci=True, seed=np.random.default_rng(0))["cmc@1"] == estimate
    assert evaluate(rr, ["cmc@1"], ci=True, n_boot=9, seed=1) != evaluate(rr, ["cmc@1"], ci=True, n_boot=9, seed=2)


def test_labels_of_results(rr):
    labels = [f"label {i // N_OF_LABEL}" for i in range(120)]
    expected = evaluate(rr, ["cmc@1"], ci=True)["cmc@1"]
    assert evaluate(rr, ["cmc@1"], ci=True, query_labels=labels)["cmc@1"] == expected
    assert rr.gt_ids is not None  # makes lists of the labels
    listed = RetrievalResults(list(rr.distances), list(rr.retrieved_ids), list(rr.gt_ids))
    estimate = evaluate(listed, ["cmc@1"], ci=True)["cmc@1"]
    assert estimate.over_labels is None
    assert estimate.over_queries == expected.over_queries
    assert evaluate(listed, ["cmc@1"], ci=True, query_labels=torch.arange(120) // N_OF_LABEL)["cmc@1"] == expected


def test_intervals_of_categories(rr):
    categories = ["a"] * 60 + ["b"] * 60
    found = evaluate(rr, ["cmc@1"], categories, ci=True)
    assert list(found) == ["OVERALL", "a", "b"]
    assert found["OVERALL"] == evaluate(rr, ["cmc@1"], ci=True)
    plain = evaluate(rr, ["cmc@1"], categories)
    for category, metrics in found.items():
        assert metrics["cmc@1"].mean == plain[category]["cmc@1"]
        assert metrics["cmc@1"].over_labels.low <= metrics["cmc@1"].mean <= metrics["cmc@1"].over_labels.high


def test_errors_of_intervals(rr):
    with pytest.raises(InvalidInputError, match="`query_labels` must have one label per query, got 2 for 120"):
        evaluate(rr, ["cmc@1"], ci=True, query_labels=[1, 2])
    with pytest.raises(InvalidInputError, match="`ci=True` gives intervals of means: leave `reduce` at True"):
        evaluate(rr, ["cmc@1"], ci=True, reduce=False)
    with pytest.raises(InvalidInputError, match="`n_boot` must be at least 1, got 0"):
        evaluate(rr, ["cmc@1"], ci=True, n_boot=0)


def test_intervals_of_no_and_of_one_query():
    estimate = evaluate(RetrievalResults([], [], []), ["cmc@1"], ci=True)["cmc@1"]
    assert np.isnan([estimate.mean, *estimate.over_queries]).all()
    one = RetrievalResults([torch.zeros(1)], [torch.tensor([3])], [torch.tensor([3])])
    estimate = evaluate(one, ["cmc@1"], ci=True, query_labels=["a"])["cmc@1"]
    assert estimate.mean == 1
    assert np.isnan([*estimate.over_queries, *estimate.over_labels]).all()


def test_compare():
    better, worse = make_results(1.0), make_results(0.7)
    found = compare(better, worse, "cmc@1")
    assert found.metric == "cmc@1"
    assert (found.mean_a, found.mean_b) == (1.0, pytest.approx(evaluate(worse, ["cmc@1"])["cmc@1"]))
    assert found.difference == pytest.approx(found.mean_a - found.mean_b)
    assert 0 < found.over_queries.low < found.difference < found.over_queries.high
    assert found.over_labels.high - found.over_labels.low > found.over_queries.high - found.over_queries.low
    assert found.p_value == 1 / 10_000
    n_worse = round((1 - found.mean_b) * N_LABELS)  # labels that differ: all of them in the same direction
    assert found.p_value_labels == pytest.approx(2 / 2**n_worse)
    turned = compare(worse, better, "cmc@1")
    assert turned.difference == -found.difference
    assert turned.over_queries == pytest.approx([-found.over_queries.high, -found.over_queries.low])


def test_compare_equal_results(rr):
    found = compare(rr, rr, "mrr@1", query_labels=range(120))
    assert (found.difference, found.p_value, found.p_value_labels) == (0, 1, 1)
    assert found.over_queries == found.over_labels == Interval(0, 0)


def test_compare_without_labels(rr):
    listed = RetrievalResults(list(rr.distances), list(rr.retrieved_ids), list(rr.gt_ids))
    found = compare(listed, rr, "cmc@1")
    assert found.over_labels is found.p_value_labels is None


def test_errors_of_compare(rr):
    with pytest.raises(InvalidInputError, match="answers to the same queries, got 120 and 0 queries"):
        compare(rr, RetrievalResults([], [], []), "cmc@1")
    with pytest.raises(InvalidInputError, match="at least one query, got none"):
        compare(RetrievalResults([], [], []), RetrievalResults([], [], []), "cmc@1")
    other = make_results(1.0, labels=torch.arange(120) % N_LABELS)
    with pytest.raises(InvalidInputError, match="in the same order, but the labels differ at positions 1, 2, 3, 4, 5 "):
        compare(rr, other, "cmc@1")
    with pytest.raises(InvalidInputError, match="`metric` must be the name of one metric, got"):
        compare(rr, rr, ["cmc@1"])
    with pytest.raises(InvalidInputError, match=r"Unknown metric 'cmcs@1'\. Did you mean 'cmc@k'"):
        compare(rr, rr, "cmcs@1")
    with pytest.raises(InvalidInputError, match="`n_permutations` must be at least 1, got 0"):
        compare(rr, rr, "cmc@1", n_permutations=0)

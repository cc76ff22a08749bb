import math
import re
from pathlib import Path

import pytest
import torch

from oml.errors import InvalidInputError
from oml.metrics import calc_retrieval_metrics_rr, evaluate
from oml.metrics.names import CUT_OFF_METRICS, METRICS
from oml.retrieval import RetrievalResults


@pytest.fixture
def rr():
    ids = [torch.tensor([3, 1, 2]), torch.tensor([0, 5, 4]), torch.tensor([7])]
    gts = [torch.tensor([1, 2]), torch.tensor([0]), torch.tensor([6, 7])]
    return RetrievalResults([torch.arange(float(len(row))) for row in ids], ids, gts)


def test_names(rr):
    found = evaluate(rr, ["recall@1", "cmc@1", "map@r", "precision@2", "map@3"])
    assert list(found) == ["recall@1", "cmc@1", "map@r", "precision@2", "map@3"]
    assert all(isinstance(value, float) for value in found.values())
    assert found == pytest.approx(
        {
            "recall@1": 1.5 / 3,
            "cmc@1": 2 / 3,
            "map@r": (0.25 + 1 + 0.5) / 3,
            "precision@2": 2.5 / 3,
            "map@3": (7 / 12 + 2) / 3,
        }
    )


def test_equal_documented_metrics(rr):
    found = evaluate(rr, ["cmc@2", "precision@2", "map@2"])
    documented = calc_retrieval_metrics_rr(rr, None, (2,), (2,), (2,))
    assert found == {f"{name}@2": documented[name][2].item() for name in ("cmc", "precision", "map")}


def test_values_per_query_and_categories(rr):
    assert evaluate(rr, ["cmc@1"], reduce=False)["cmc@1"].tolist() == [0.0, 1.0, 1.0]
    found = evaluate(rr, ["cmc@1"], query_categories=["a", "b", "a"])
    assert found == {"OVERALL": {"cmc@1": pytest.approx(2 / 3)}, "a": {"cmc@1": 0.5}, "b": {"cmc@1": 1.0}}


def make_results(n_kept, n_gts, n_found=0):
    """Give results of one query: its first `n_found` answers are relevant, and other galleries."""
    gts = torch.cat([torch.arange(n_found), torch.arange(100, 100 + n_gts - n_found)])
    return RetrievalResults([torch.arange(float(n_kept))], [torch.arange(n_kept)], [gts])


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("map@r", r"map@r may find more .* only 3 were kept .* in 1 of 1 queries\. Search with n_items=5 or more"),
        ("r_precision", "Search with n_items=5 or more for the exact value"),
        ("recall@7", "Search with n_items=7 or more"),
        ("minp", "Search with all galleries as n_items"),
        ("mrr", "Search with all galleries as n_items"),
        ("cmc@4", "Search with n_items=4 or more"),
    ],
)
def test_too_few_answers(metric, message):
    with pytest.warns(UserWarning, match=message):
        assert evaluate(make_results(n_kept=3, n_gts=5), [metric]) == {metric: 0}


@pytest.mark.parametrize(
    ("kept", "metrics"),
    [
        (make_results(3, n_gts=5), ["cmc@3", "recall@1", "map@3"]),  # they look at what was kept
        (make_results(3, n_gts=2, n_found=2), ["recall@9", "map@r", "minp"]),  # all was found
        (make_results(3, n_gts=5, n_found=1), ["cmc@9", "mrr", "hit_rate@5"]),  # one hit is enough
        (make_results(3, n_gts=2), ["map@r", "r_precision"]),
    ],
)
def test_enough_answers(kept, metrics):
    assert set(evaluate(kept, metrics)) == set(metrics)  # a warning would be an error


def test_less_answers_than_others():
    gts = [torch.tensor([0]), torch.tensor([5])]
    rr = RetrievalResults([torch.zeros(2), torch.zeros(1)], [torch.tensor([0, 1]), torch.tensor([0])], gts)
    assert evaluate(rr, ["recall@5"]) == {"recall@5": 0.5}  # the second query has no further answers


def test_all_names():
    """A query with 3 relevant galleries, found at ranks 1 and 3 of 4."""
    rr = RetrievalResults([torch.arange(4.0)], [torch.tensor([8, 1, 9, 2])], [torch.tensor([7, 8, 9])])
    asked = [*METRICS, *(name.replace("@k", "@4") for name in CUT_OFF_METRICS)]
    with pytest.warns(UserWarning, match="^minp may find more"):
        found = evaluate(rr, asked)
    assert list(found) == asked
    expected = {
        "map@r": 5 / 9,
        "minp": 0,
        "mrr": 1,
        "r_precision": 2 / 3,
        "cmc@4": 1,
        "hit_rate@4": 1,
        "map@4": 5 / 6,
        "map@4:standard": 5 / 9,
        "map@4:trec": 5 / 9,
        "mrr@4": 1,
        "ndcg@4": 1.5 / (1.5 + 1 / math.log2(3)),
        "precision@4": 2 / 3,
        "precision@4:standard": 1 / 2,
        "recall@4": 2 / 3,
    }
    assert found == pytest.approx(expected)
    more = ["map@1:standard", "map@1:trec", "precision@1:standard", "precision@2"]
    assert evaluate(rr, more) == pytest.approx(dict(zip(more, [1, 1 / 3, 1, 1 / 2], strict=True)))


def test_the_page_on_metrics_names_all_of_them():
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    of_retrieval = page[: page.index("## Of verification")]
    named = set(re.findall(r"^\| `([^`]+)`", of_retrieval, re.MULTILINE))
    assert named == {*METRICS, *CUT_OFF_METRICS}


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("cmc", "'cmc' needs a positive integer as its cut-off, as in 'cmc@5', got 'cmc'"),
        ("cmc@0", "needs a positive integer .* got 'cmc@0'"),
        ("precision@1.5", "needs a positive integer .* got 'precision@1.5'"),
        ("recal@5", "Unknown metric 'recal@5'. Did you mean 'recall@k'"),
        ("map@R", "needs a positive integer"),
        ("precision@:standard", "'precision:standard' needs .* as in 'precision@5:standard', got"),
        ("ndcg@10:standard", r"Unknown metric 'ndcg@10:standard'\. Did you mean"),
        ("r_precison", r"Did you mean 'r_precision'"),
        ("cmc@1@2", "Unknown metric 'cmc@1@2'"),
        ("", "Unknown metric ''"),
    ],
)
def test_bad_names(rr, metric, message):
    with pytest.raises(InvalidInputError, match=message):
        evaluate(rr, [metric])


def test_text_instead_of_a_list(rr):
    with pytest.raises(InvalidInputError, match="`metrics` must be a list of names, got the text 'cmc@1'"):
        evaluate(rr, "cmc@1")


def test_no_names(rr):
    with pytest.raises(InvalidInputError, match="`metrics` must hold at least one name, got none"):
        evaluate(rr, [])


def test_no_ground_truth():
    rr = RetrievalResults([torch.zeros(1)], [torch.tensor([3])])
    with pytest.raises(TypeError, match=r"cmc@1, minp need ground truth.* from a labelled dataset, or give `gt_ids`"):
        evaluate(rr, ["cmc@1", "minp"])


def test_no_answers():
    with pytest.warns(UserWarning, match="don't have available gts"):
        rr = RetrievalResults(
            [torch.zeros(0)] * 2, [torch.zeros(0, dtype=torch.int64)] * 2, [torch.tensor([]), torch.tensor([3])]
        )
    asked = [*METRICS, *(name.replace("@k", "@4") for name in CUT_OFF_METRICS)]
    assert all(values.tolist() == [1, 0] for values in evaluate(rr, asked, reduce=False).values())


def test_no_queries():
    rr = RetrievalResults([], [], [])
    assert evaluate(rr, ["cmc@1", "map@r"], reduce=False)["map@r"].shape == (0,)

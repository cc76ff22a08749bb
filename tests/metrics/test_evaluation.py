import pytest
import torch

from oml.errors import InvalidInputError
from oml.metrics import calc_retrieval_metrics_rr, evaluate
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


def test_too_few_answers_for_map_at_r():
    rr = RetrievalResults([torch.tensor([0.0])], [torch.tensor([3])], [torch.tensor([3, 4])])
    with pytest.warns(UserWarning, match="only 1 were kept.* Search with n_items=2 or more"):
        assert evaluate(rr, ["map@r"]) == {"map@r": 0.5}


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("cmc", "'cmc' needs a positive integer as its cut-off, as in 'cmc@5', got 'cmc'"),
        ("cmc@0", "needs a positive integer .* got 'cmc@0'"),
        ("precision@1.5", "needs a positive integer .* got 'precision@1.5'"),
        ("recal@5", "Unknown metric 'recal@5'. Did you mean 'recall@k'"),
        ("map@R", "needs a positive integer"),
    ],
)
def test_bad_names(rr, metric, message):
    with pytest.raises(InvalidInputError, match=message):
        evaluate(rr, [metric])


def test_text_instead_of_a_list(rr):
    with pytest.raises(InvalidInputError, match="`metrics` must be a list of names, got the text 'cmc@1'"):
        evaluate(rr, "cmc@1")


def test_no_queries():
    rr = RetrievalResults([], [], [])
    assert evaluate(rr, ["cmc@1", "map@r"], reduce=False)["map@r"].shape == (0,)

import numpy as np
import pytest
import torch

from oml.functional.metrics import calc_fnmr_at_fmr, calc_retrieval_metrics
from oml.metrics import calc_fnmr_at_fmr_rr, calc_retrieval_metrics_rr
from oml.retrieval import RetrievalResults
from tests.retrieval.datasets import LabelledSplit


@pytest.fixture
def rr(generator):
    labels = np.arange(40) % 7
    dataset = LabelledSplit(labels, list(range(30)), list(range(10, 40)), sequences=(np.arange(40) // 3).tolist())
    return RetrievalResults.from_embeddings(torch.randn(40, 2, generator=generator), dataset, n_items=30)


@pytest.mark.parametrize("categories", [None, [i % 3 for i in range(30)]])
@pytest.mark.parametrize("reduce", [True, False])
def test_equal_metrics_of_lists(rr, categories, reduce):
    cut_offs = ((1, 3), (5,), (2, 100))
    of_labels = calc_retrieval_metrics_rr(rr, categories, *cut_offs, reduce=reduce)
    of_lists = calc_retrieval_metrics(rr.retrieved_ids, rr.gt_ids, categories, *cut_offs, reduce=reduce)
    torch.testing.assert_close(of_labels, of_lists, rtol=0, atol=0)


def test_fnmr_over_all_answers(rr):
    pos, neg = [], []
    for distances, ids, gts in zip(rr.distances, rr.retrieved_ids, rr.gt_ids, strict=True):
        for distance, i in zip(distances.tolist(), ids.tolist(), strict=True):
            (pos if i in gts.tolist() else neg).append(distance)
    found = calc_fnmr_at_fmr_rr(rr, (0.1, 0.7))
    expected = calc_fnmr_at_fmr(np.array(pos, dtype=np.float32), np.array(neg, dtype=np.float32), (0.1, 0.7))
    assert list(found) == ["fnmr@fmr"]
    assert [found["fnmr@fmr"][0.1], found["fnmr@fmr"][0.7]] == expected.tolist()


def test_without_ground_truth():
    rr = RetrievalResults([torch.tensor([1.0])], [torch.tensor([0])])
    for function in (calc_retrieval_metrics_rr, calc_fnmr_at_fmr_rr):
        with pytest.raises(TypeError, match="Make them from a labelled dataset, or give `gt_ids`"):
            function(rr)


def test_nothing_relevant_does_not_poison_the_mean():
    with pytest.warns(UserWarning, match="don't have available gts"):
        rr = RetrievalResults(
            [torch.tensor([1.0]), torch.tensor([1.0]), torch.tensor([])],
            [torch.tensor([0]), torch.tensor([0]), torch.tensor([])],
            [torch.tensor([0]), torch.tensor([]), torch.tensor([])],
        )
    found = calc_retrieval_metrics_rr(rr, reduce=False)
    assert list(found) == ["cmc", "precision", "map"]
    assert all(of_metric[5].tolist() == [1, 0, 1] for of_metric in found.values())

import sys

import numpy as np
import pytest
import torch

from oml.errors import InvalidInputError
from oml.functional.search import Answers, search
from oml.retrieval import RetrievalResults
from oml.retrieval.backends import Exact, Faiss, calc_recall
from tests.retrieval.datasets import LabelledSplit

faiss = pytest.importorskip("faiss")


def draw(n, generator, dim=8):
    return torch.randn(n, dim, generator=generator)


@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
@pytest.mark.parametrize(("n_queries", "n_galleries"), [(0, 0), (0, 3), (3, 0), (1, 1), (30, 200)])
@pytest.mark.parametrize("with_exclusion", [False, True])
def test_flat_index_equals_exact(metric, n_queries, n_galleries, with_exclusion, generator):
    queries, galleries = draw(n_queries, generator), draw(n_galleries, generator)
    exclude = []
    if with_exclusion:
        keys = [torch.randint(0, 4, (n,), generator=generator) for n in (n_queries, n_galleries) * 2]
        exclude = [(keys[0], keys[1]), (keys[2], keys[3])]
    backend = Faiss("flat", metric)
    answers = backend(queries, galleries, 5, exclude=exclude)
    expected = Exact(metric)(queries, galleries, 5, exclude=exclude)
    assert torch.equal(answers.ids, expected.ids)
    assert torch.equal(answers.lengths, expected.lengths)
    torch.testing.assert_close(answers.distances, expected.distances, rtol=1e-4, atol=1e-5)
    assert backend.recall == 1


@pytest.mark.parametrize("index", ["ivf", "hnsw"])
@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
def test_approximate_indices_report_their_recall(index, metric, generator):
    galleries = draw(2000, generator, 16)
    keys = torch.arange(60), torch.arange(2000)
    backend = Faiss(index, metric, n_probes=2)
    answers = backend(galleries[:60], galleries, 10, exclude=[keys])
    exact = search(galleries[:60], galleries, 10, metric=metric, exclude=[keys])
    n_common = sum(len(set(a) & set(b)) for a, b in zip(answers.ids.tolist(), exact.ids.tolist(), strict=True))
    assert backend.recall == pytest.approx(n_common / 600)
    assert 0.2 < backend.recall <= 1
    assert not (answers.ids == torch.arange(60)[:, None]).any()
    assert (answers.distances.diff(dim=1) >= 0).all()


def test_looking_into_more_lists_finds_more(generator):
    galleries = draw(2000, generator, 16)
    few, many = (Faiss("ivf", n_probes=n_probes) for n_probes in (1, 1000))
    few(galleries[:50], galleries, 10)
    many(galleries[:50], galleries, 10)
    assert few.recall < many.recall == 1


def test_recall_need_not_be_measured(generator):
    backend = Faiss(n_checked=0)
    backend(draw(3, generator), draw(4, generator), 2)
    assert backend.recall is None


def test_arrays(generator):
    x = draw(20, generator).numpy().astype(np.float16)
    assert torch.equal(Faiss()(x, x, 3).ids, Exact()(x, x, 3).ids)


def test_recall():
    exact = Answers(torch.tensor([[1.0, 2.0], [1.0, np.inf]]), torch.tensor([[0, 1], [3, -1]]), torch.tensor([2, 1]))
    nothing = Answers(torch.full((2, 2), torch.inf), torch.full((2, 2), -1), torch.tensor([0, 0]))
    equally_near = exact._replace(ids=torch.tensor([[0, 8], [5, -1]]))
    assert calc_recall(exact, exact) == calc_recall(equally_near, exact) == 1
    assert calc_recall(nothing, exact) == 0
    assert calc_recall(nothing, nothing) == 1
    with pytest.raises(InvalidInputError, match="the same queries, got 1 and 2 queries"):
        calc_recall(Answers(*(part[:1] for part in exact)), exact)


def test_errors(monkeypatch, generator):
    x = draw(4, generator)
    with pytest.raises(InvalidInputError, match=r"Unknown index 'hsnw'\. Did you mean 'hnsw'"):
        Faiss("hsnw")
    with pytest.raises(InvalidInputError, match=r"Unknown metric 'cosin'\. Did you mean 'cosine'"):
        Faiss("flat", "cosin")
    with pytest.raises(InvalidInputError, match="`k` must be at least 1, got 0"):
        Faiss()(x, x, 0)
    with pytest.raises(InvalidInputError, match="differ in the number of features: 8 and 7"):
        Faiss()(x, x[:, :7], 1)
    bad = x.clone()
    bad[2, 1] = torch.nan
    with pytest.raises(InvalidInputError, match=r"`galleries` must be finite, .* rows 2\."):
        Faiss()(x, bad, 1)
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r"pip install open-metric-learning\[faiss\]"):
        Faiss()(x, x, 1)


@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
def test_results_by_another_backend(metric, generator):
    embeddings, labels = draw(60, generator), torch.arange(60) % 7
    queries, galleries = list(range(0, 40)), list(range(59, 19, -1))
    dataset = LabelledSplit(labels.numpy(), queries, galleries, [f"camera {i // 3}" for i in range(60)])
    exact = RetrievalResults.from_embeddings(embeddings, dataset, 5, backend=Exact(metric))
    assert exact != RetrievalResults.from_embeddings(embeddings, dataset, 5) or metric == "l2"
    by_faiss = RetrievalResults.from_embeddings(embeddings, dataset, 5, backend=Faiss("flat", metric))
    assert torch.equal(by_faiss.retrieved_ids.values, exact.retrieved_ids.values)
    assert torch.equal(by_faiss.calc_hits().is_hit, exact.calc_hits().is_hit)

    both = (embeddings, embeddings.flip(0)), (dataset, dataset)
    exact = RetrievalResults.from_embeddings_qg(*both[0], *both[1], 5, backend=Exact(metric))
    by_faiss = RetrievalResults.from_embeddings_qg(*both[0], *both[1], 5, backend=Faiss("flat", metric))
    assert torch.equal(by_faiss.retrieved_ids.values, exact.retrieved_ids.values)


def test_memory_reaches_the_search(generator):
    dataset = LabelledSplit([0, 0, 1], [0], [1, 2])
    with pytest.raises(InvalidInputError, match="`max_memory` is too small"):
        RetrievalResults.from_embeddings(draw(3, generator), dataset, backend=Exact(max_memory=10))

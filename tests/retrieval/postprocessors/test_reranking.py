import numpy as np
import pytest
import torch

from oml.errors import InvalidInputError
from oml.retrieval import (
    AlphaQueryExpansion,
    ASNorm,
    DatabaseAugmentation,
    KReciprocalReranker,
    ReciprocalRankFusion,
    RetrievalResults,
    ZNorm,
)
from tests.reference.k_reciprocal import rerank_densely
from tests.reference.reranking import augment_all, expand_one, standardise_one
from tests.retrieval.datasets import LabelledSplit

COHORT = torch.from_numpy(np.random.default_rng(9).normal(size=(12, 3)))
ALL = [
    KReciprocalReranker(k1=4, k2=2),
    AlphaQueryExpansion(top_n=2),
    DatabaseAugmentation(top_n=2),
    ZNorm(COHORT),
    ASNorm(COHORT, top_n=4),
]


@pytest.fixture
def embeddings():
    x = np.random.default_rng(3).normal(size=(20, 3))
    return torch.from_numpy(x / np.linalg.norm(x, axis=1, keepdims=True))


@pytest.fixture
def dataset():
    """Items 4..7 are queries and galleries at once; the galleries do not lie in the order of the items."""
    sequences = [*"aabbccdd", *range(12)]
    return LabelledSplit([0, 1, 2, 3] * 5, list(range(8)), list(range(19, 3, -1)), sequences)


def calc_by_definition(postprocessor, embeddings, dataset, rr):
    """Give the new distance of each answer, from the plain references."""
    x = embeddings.numpy()
    query_ids, gallery_ids = dataset.get_query_ids().tolist(), dataset.get_gallery_ids().tolist()
    if isinstance(postprocessor, KReciprocalReranker):
        whole = rerank_densely(x, 4, 2)
        return lambda q, g: whole[query_ids[q], gallery_ids[g]]
    if isinstance(postprocessor, AlphaQueryExpansion):
        first = [[x[gallery_ids[i]] for i in ids[:2].tolist()] for ids in rr.retrieved_ids]
        queries = [expand_one(x[i], near, 3.0) for i, near in zip(query_ids, first, strict=True)]
        return lambda q, g: np.linalg.norm(queries[q] - x[gallery_ids[g]])
    if isinstance(postprocessor, DatabaseAugmentation):
        galleries = augment_all(x[gallery_ids], 2, 3.0)
        return lambda q, g: np.linalg.norm(x[query_ids[q]] - galleries[g])
    cohort, which = COHORT.numpy(), int(isinstance(postprocessor, ASNorm))
    return lambda q, g: standardise_one(x[query_ids[q]], x[gallery_ids[g]], cohort, cohort, 4)[which]


@pytest.mark.parametrize("postprocessor", ALL, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("n_items", [1, 5, 100])
class TestRerankers:
    def test_answers_by_their_new_distances(self, postprocessor, n_items, embeddings, dataset):
        rr = RetrievalResults.from_embeddings(embeddings, dataset, n_items)
        kept = rr.deepcopy()
        found = postprocessor.process(rr, dataset, embeddings)
        assert rr == kept
        calc = calc_by_definition(postprocessor, embeddings, dataset, rr)
        assert found.lengths.tolist() == rr.lengths.tolist()
        for q, ids in enumerate(rr.retrieved_ids):
            expected = sorted((calc(q, i), i) for i in ids.tolist())
            assert found.retrieved_ids[q].tolist() == [i for _, i in expected]
            assert found.distances[q].tolist() == pytest.approx([d for d, _ in expected], abs=1e-9)
        assert torch.equal(found.calc_hits().n_gts, rr.calc_hits().n_gts)

    def test_a_pair_of_embeddings(self, postprocessor, n_items):
        random = np.random.default_rng(5)
        queries, galleries = (torch.from_numpy(random.normal(size=(n, 3))) for n in (3, 8))
        together = torch.cat([queries, galleries])
        dataset = LabelledSplit([0] * 11, [0, 1, 2], list(range(3, 11)))
        rr = RetrievalResults.from_embeddings(together, dataset, n_items)
        by_dataset = postprocessor.process(rr, dataset, together)
        assert postprocessor.process(rr, embeddings=(queries, galleries)) == by_dataset

    def test_results_without_answers(self, postprocessor, n_items, embeddings, dataset):
        empty = RetrievalResults([torch.tensor([])] * 8, [torch.tensor([])] * 8)
        assert postprocessor.process(empty, dataset, embeddings) == empty
        nothing = RetrievalResults([], [])
        assert len(postprocessor.process(nothing, embeddings=(embeddings[:0], embeddings))) == 0


@pytest.mark.parametrize("postprocessor", ALL, ids=lambda p: type(p).__name__)
def test_errors(postprocessor, embeddings, dataset):
    rr = RetrievalResults.from_embeddings(embeddings, dataset, 5)
    name = type(postprocessor).__name__
    with pytest.raises(InvalidInputError, match=f"{name} needs embeddings: process"):
        postprocessor.process(rr, dataset)
    with pytest.raises(InvalidInputError, match=f"{name} needs a dataset that tells queries .* got NoneType"):
        postprocessor.process(rr, embeddings=embeddings)
    with pytest.raises(InvalidInputError, match="must have one row per item of `dataset`, got 3 for 20"):
        postprocessor.process(rr, dataset, embeddings[:3])
    with pytest.raises(InvalidInputError, match="There are embeddings of 2 queries, the results have 8"):
        postprocessor.process(rr, embeddings=(embeddings[:2], embeddings))
    with pytest.raises(InvalidInputError, match="There are embeddings of 2 galleries, but the results hold the id 15"):
        postprocessor.process(rr, embeddings=(embeddings[:8], embeddings[:2]))


def test_bad_settings():
    with pytest.raises(InvalidInputError, match="`top_n` must be at least 1, got 0"):
        AlphaQueryExpansion(top_n=0)
    with pytest.raises(InvalidInputError, match="`top_n` must be at least 1, got 0"):
        DatabaseAugmentation(top_n=0)
    with pytest.raises(InvalidInputError, match="`n_items` must be at least 1, got 0"):
        ReciprocalRankFusion([], n_items=0)


def make_results(*ids):
    return RetrievalResults([torch.arange(float(len(row))) for row in ids], [torch.tensor(row) for row in ids])


def test_fusion():
    rr, other = make_results([5, 3], []), make_results([3, 9, 5], [7])
    rr = RetrievalResults(rr.distances, rr.retrieved_ids, [torch.tensor([9]), torch.tensor([7])])
    found = ReciprocalRankFusion([other]).process(rr, dataset=None, embeddings=None)
    assert [ids.tolist() for ids in found.retrieved_ids] == [[3, 5, 9], [7]]
    assert float(found.distances[0][0]) == pytest.approx(1 - (1 / 61 + 1 / 62) / (2 / 61), abs=1e-6)
    assert found.calc_hits().is_hit.tolist() == [[False, False, True], [True, False, False]]
    short = ReciprocalRankFusion([other], n_items=1).process(rr)
    assert [ids.tolist() for ids in short.retrieved_ids] == [[3], [7]]
    with pytest.raises(InvalidInputError, match=r"must have the same queries, got \[2, 1\] queries"):
        ReciprocalRankFusion([make_results([1])]).process(rr)

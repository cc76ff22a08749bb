import pytest
import torch

from oml.errors import InvalidInputError
from oml.functional.metrics import cmc_at
from oml.interfaces.models import IPairwiseModel
from oml.retrieval import PairwiseReranker, RetrievalResults
from tests.retrieval.datasets import LabelledSplit


class Numbers(LabelledSplit):
    """Items are numbers on a line."""

    def __init__(self, values, labels, query_ids, gallery_ids):
        super().__init__(labels, query_ids, gallery_ids)
        self.values = values

    def __getitem__(self, item):
        return {"idx": item, "input_tensors": self.values[item]}


class Model(IPairwiseModel):
    def __init__(self, compare):
        super().__init__()
        self.compare = compare
        self.seen = 0

    def forward(self, x1, x2):
        return self.predict(x1, x2)

    def predict(self, x1, x2):
        self.seen += len(x1)
        return self.compare(x1, x2)[:, 0]


def identity(x1, x2):
    return (x1 - x2).abs()


@pytest.fixture
def dataset():
    values = torch.rand(14, 1, generator=torch.Generator().manual_seed(1))
    return Numbers(values, [0, 1] * 7, [0, 1, 2, 3], list(range(4, 14)))


@pytest.fixture
def rr(dataset):
    return RetrievalResults.from_embeddings(dataset.values, dataset, n_items=6)


def to_lists(rows):
    return [row.tolist() for row in rows]


@pytest.mark.parametrize("top_n", [2, 3, 6, 50])
def test_a_model_of_the_same_opinion_changes_nothing(rr, dataset, top_n):
    model = Model(identity)
    found = PairwiseReranker(top_n, model, num_workers=0, batch_size=5).process(rr, dataset)
    assert found == rr
    assert model.seen == 4 * min(top_n, 6)
    assert found is not rr


@pytest.mark.parametrize("bias", [-100.0, -0.5, 0.5, 100.0])
def test_a_bias_keeps_the_order(rr, dataset, bias):
    found = PairwiseReranker(3, Model(lambda x1, x2: identity(x1, x2) + bias), 0, 4).process(rr, dataset)
    assert to_lists(found.retrieved_ids) == to_lists(rr.retrieved_ids)
    for new, old in zip(found.distances, rr.distances, strict=True):
        assert torch.equal(new[3:], old[3:])
        assert not torch.equal(new[:3], old[:3])
        assert bool((new[1:] >= new[:-1]).all())


def test_the_first_answers_are_turned_round(rr, dataset):
    found = PairwiseReranker(3, Model(lambda x1, x2: -identity(x1, x2)), 0, 4).process(rr, dataset)
    for new, old in zip(found.retrieved_ids, rr.retrieved_ids, strict=True):
        assert new.tolist() == [*old[:3].flip(0).tolist(), *old[3:].tolist()]
    hits, old_hits = found.calc_hits(), rr.calc_hits()
    assert torch.equal(hits.n_gts, old_hits.n_gts)
    assert torch.equal(cmc_at(hits, (3,))[0], cmc_at(old_hits, (3,))[0])


def test_rule_of_the_offset():
    """Distances 1, 2, 3, 4 of one query; the model says 40, 10, 20 about the first three."""
    dataset = Numbers(torch.tensor([[0.0], [40.0], [10.0], [20.0], [9.0]]), [0] * 5, [0], [1, 2, 3, 4])
    rr = RetrievalResults([torch.tensor([1.0, 2.0, 3.0, 4.0])], [torch.tensor([0, 1, 2, 3])])
    found = PairwiseReranker(3, Model(identity), 0, 4).process(rr, dataset)
    eps = 1000 * torch.finfo(torch.float32).eps
    assert found.retrieved_ids[0].tolist() == [1, 2, 0, 3]
    assert found.distances[0].tolist() == pytest.approx([1 - eps, 2 - eps, 4 - eps, 4])
    # all answers are sorted: nothing to fit to
    found = PairwiseReranker(4, Model(identity), 0, 4).process(rr, dataset)
    assert found.retrieved_ids[0].tolist() == [3, 1, 2, 0]
    assert found.distances[0].tolist() == [9, 10, 20, 40]


def test_queries_with_different_numbers_of_answers(dataset):
    rows = [torch.tensor([1.0, 2.0, 3.0]), torch.tensor([]), torch.tensor([5.0]), torch.tensor([1.0, 1.5])]
    ids = [torch.tensor([4, 2, 7]), torch.tensor([]), torch.tensor([0]), torch.tensor([9, 8])]
    rr = RetrievalResults(rows, ids)
    found = PairwiseReranker(2, Model(identity), 0, 4).process(rr, dataset)
    assert found.lengths.tolist() == [3, 0, 1, 2]
    values = dataset.values[:, 0]
    for q in range(4):
        head = sorted(ids[q].tolist()[:2], key=lambda i, q=q: abs(float(values[q] - values[4 + i])))
        assert found.retrieved_ids[q].tolist() == head + ids[q].tolist()[2:]
    assert found.distances[0][2] == 3.0
    assert found.distances[2].tolist() == pytest.approx([abs(float(values[2] - values[4]))])


def test_nothing_to_ask(dataset):
    empty = RetrievalResults([torch.tensor([])] * 4, [torch.tensor([])] * 4)
    model = Model(identity)
    assert PairwiseReranker(3, model, 0, 4).process(empty, dataset) == empty
    assert model.seen == 0
    nobody = Numbers(torch.zeros(2, 1), [0, 0], [], [0, 1])
    nobody.query_ids = torch.zeros(0, dtype=torch.int64)
    assert len(PairwiseReranker(3, model, 0, 4).process(RetrievalResults([], []), nobody)) == 0


def test_the_model_may_come_first():
    model = Model(identity)
    for reranker in (PairwiseReranker(model, top_n=3), PairwiseReranker(model, 3), PairwiseReranker(3, model)):
        assert (reranker.top_n, reranker.model) == (3, model)


def test_errors(rr, dataset):
    with pytest.raises(AssertionError, match=r"`top_n` must be at least 2, .* got 1"):
        PairwiseReranker(1, Model(identity), 0, 4)
    reranker = PairwiseReranker(3, Model(identity), 0, 4)
    with pytest.raises(AssertionError, match="The dataset has 3 queries, the results have 4"):
        reranker.process(rr, Numbers(dataset.values, [0] * 14, [0, 1, 2], list(range(4, 14))))
    with pytest.raises(InvalidInputError, match="The dataset has 2 galleries, but the results hold the id 9"):
        reranker.process(rr, Numbers(dataset.values, [0] * 14, [0, 1, 2, 3], [4, 5]))
    bad = PairwiseReranker(3, Model(lambda x1, x2: x1 * torch.nan), 0, 4)
    with pytest.raises(InvalidInputError, match=r"NaN or infinity came for the pairs of items \(0, \d+\), .*7 more"):
        bad.process(rr, dataset)

import pytest
import torch
from torch import Tensor, nn

from oml.errors import InvalidInputError
from oml.inference import inference
from oml.interfaces.models import IExtractor
from oml.losses import InfoNCE, SigLIPLoss
from oml.metrics import evaluate
from oml.models import TwoTowerExtractor
from oml.retrieval import RetrievalResults
from tests.retrieval.datasets import Labelled


class Linear(IExtractor):
    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.layer = nn.Linear(n_in, n_out)

    @property
    def feat_dim(self) -> int:
        return self.layer.out_features

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class Vectors(Labelled):
    def __init__(self, vectors: Tensor, labels: list[int]):
        super().__init__(labels)
        self.vectors = vectors

    def __getitem__(self, item: int):
        return {"input_tensors": self.vectors[item], "idx": item}


def test_embeddings_are_projected_and_of_unit_length(generator):
    towers = TwoTowerExtractor(query=Linear(3, 4), gallery=Linear(5, 6), projection=2)
    queries, galleries = torch.randn(7, 3, generator=generator), torch.randn(8, 5, generator=generator)
    features = towers(queries, galleries)
    assert [tuple(f.shape) for f in features] == [(7, 2), (8, 2)]
    assert towers.feat_dim == towers.query.feat_dim == towers.gallery.feat_dim == 2
    for tower, x, found in zip((towers.query, towers.gallery), (queries, galleries), features, strict=True):
        expected = tower.extractor(x) @ tower.projection.weight.T
        torch.testing.assert_close(found, expected / expected.square().sum(dim=1, keepdim=True).sqrt())
        assert torch.equal(tower.extract(x), found)


def test_without_projection(generator):
    query = Linear(3, 4)
    towers = TwoTowerExtractor(query, Linear(5, 4))
    x = torch.randn(2, 3, generator=generator)
    expected = query(x)
    torch.testing.assert_close(towers.query(x), expected / expected.norm(dim=1, keepdim=True))
    assert towers.feat_dim == 4
    assert not any("projection" in name for name in towers.state_dict())


def test_one_extractor_may_serve_both():
    shared = Linear(3, 4)
    towers = TwoTowerExtractor(shared, shared, projection=2)
    names = [name for name, _ in towers.named_parameters()]
    assert len(names) == 4  # of the one extractor, and two projections
    x = torch.ones(1, 3)
    query, gallery = towers(x, x)
    assert not torch.allclose(query, gallery)


def test_errors():
    with pytest.raises(InvalidInputError, match=r"got 4 of the query and 6 of the gallery\. Give projection=4"):
        TwoTowerExtractor(Linear(3, 4), Linear(3, 6))
    with pytest.raises(InvalidInputError, match=r"projection must be a positive number of features.*got 0"):
        TwoTowerExtractor(Linear(3, 4), Linear(3, 4), projection=0)


@pytest.mark.parametrize("make_criterion", [lambda: InfoNCE(learnable=True), SigLIPLoss])
def test_two_kinds_of_things_find_each_other(make_criterion, generator):
    torch.manual_seed(0)
    hidden = torch.randn(80, 4, generator=generator)  # seen by two cameras
    seen_1, seen_2 = (hidden @ torch.randn(4, n, generator=generator) for n in (6, 9))
    towers, criterion = TwoTowerExtractor(Linear(6, 8), Linear(9, 8), projection=4), make_criterion()
    optimizer = torch.optim.Adam([*towers.parameters(), *criterion.parameters()], lr=0.02)

    def search() -> float:
        first, second = (Vectors(seen[60:], list(range(20))) for seen in (seen_1, seen_2))
        embeddings = inference(towers.query, first, batch_size=7), inference(towers.gallery, second, batch_size=7)
        rr = RetrievalResults.from_embeddings_qg(*embeddings, first, second)
        return float(evaluate(rr, ["cmc@1"])["cmc@1"])

    before = search()
    for _ in range(150):
        optimizer.zero_grad()
        criterion(*towers(seen_1[:60], seen_2[:60])).backward()
        optimizer.step()
    assert before < 0.3
    assert search() > 0.9


def test_reload_gives_identical_outputs(generator):
    x1, x2 = torch.randn(2, 3, generator=generator), torch.randn(2, 5, generator=generator)
    towers, others = (TwoTowerExtractor(Linear(3, 4), Linear(5, 4), projection=2) for _ in range(2))
    others.load_state_dict(towers.state_dict())
    for one, other in zip(towers(x1, x2), others(x1, x2), strict=True):
        assert torch.equal(one, other)

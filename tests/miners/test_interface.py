"""What a miner of one's own needs, and that what a child redefines is used."""

import pytest
import torch

from oml.interfaces.miners import ITripletsMiner, ITripletsMinerInBatch, labels2list
from oml.miners import AllTripletsMiner, HardTripletsMiner


class FirstTriplet(ITripletsMinerInBatch):
    def _sample(self, features, labels):
        assert isinstance(labels, list)
        return [0], [1], [2]


@pytest.mark.parametrize("labels", [[0, 0, 1, 1], torch.tensor([[0], [0], [1], [1]])])
def test_positions_are_enough(labels) -> None:
    features = torch.randn(4, 2)
    assert torch.equal(torch.cat(FirstTriplet().sample(features, labels)), features[:3])
    assert [i.tolist() for i in FirstTriplet().sample_ids(features, labels)] == [[0], [1], [2]]
    assert FirstTriplet().sample_candidates(torch.zeros(4, 4), torch.as_tensor(labels)) is None
    assert FirstTriplet.gives_ids


@pytest.mark.parametrize("parent", [AllTripletsMiner, HardTripletsMiner])
def test_a_child_is_asked_for_what_it_redefines(parent: type[ITripletsMinerInBatch]) -> None:
    class WithIds(parent):
        def _sample(self, features, labels):
            return [3], [2], [0]

    class WithOtherIds(parent):
        def sample_ids(self, features, labels, distances=None):
            return super().sample_ids(features, labels, distances)

    class WithFeatures(parent):
        def sample(self, features, labels):
            return super().sample(features * 2, labels)

    class WithNothing(parent):
        pass

    features, labels = torch.randn(4, 2), torch.tensor([0, 0, 1, 1])
    assert [i.tolist() for i in WithIds().sample_ids(features, labels)] == [[3], [2], [0]]
    assert WithIds().sample_candidates(torch.zeros(4, 4), labels) is None
    assert WithOtherIds().sample_candidates(torch.zeros(4, 4), labels) is None
    assert len(WithOtherIds().sample_ids(features, labels)[0]) > 1
    assert not WithFeatures.gives_ids
    assert WithNothing.gives_ids
    assert WithNothing().sample_candidates(torch.zeros(4, 4), labels) is not None


def test_a_miner_of_features_gives_no_ids() -> None:
    assert not ITripletsMiner.gives_ids


def test_labels2list() -> None:
    labels = [3, 1]
    assert labels2list(labels) == labels
    assert labels2list(labels) is not labels
    assert labels2list(torch.tensor([5])) == [5]
    with pytest.raises(TypeError, match=r"got ndarray. Convert them with torch.as_tensor"):
        labels2list(torch.zeros(2).numpy())

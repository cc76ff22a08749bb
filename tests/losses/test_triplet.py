import copy
import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oml.errors import InvalidInputError
from oml.interfaces.miners import ITripletsMiner, ITripletsMinerInBatch
from oml.losses import TripletLoss, TripletLossPlain, TripletLossWithMiner
from oml.losses.triplet import get_tri_ids_in_plain
from oml.miners import AllTripletsMiner, HardTripletsMiner
from tests.reference.triplets import (
    calc_triplet_loss_by_loop,
    list_hard_triplets_by_loop,
    list_triplets_by_loop,
)

LABELS = [0, 0, 0, 1, 1, 2, 2, 3]


class Own(ITripletsMinerInBatch):
    """Only `_sample`, by loops."""

    def _sample(self, features, labels):
        return tuple(map(list, zip(*list_triplets_by_loop(labels), strict=True)))


class OwnFeatures(ITripletsMiner):
    """Only `sample`."""

    last_logs = {"own": 7}  # noqa: RUF012

    def sample(self, features, labels):
        ids = list(zip(*list_triplets_by_loop(torch.as_tensor(labels).tolist()), strict=True)) or [[], [], []]
        return tuple(features[list(i)] for i in ids)


class OwnWithoutParent:
    def sample(self, features, labels):
        return OwnFeatures().sample(features, labels)


MINERS = {
    "all": AllTripletsMiner(),
    "limited": AllTripletsMiner(10**6),
    "hard": HardTripletsMiner(),
    "own": Own(),
    "own features": OwnFeatures(),
    "without parent": OwnWithoutParent(),
}


def calc_expected(features, labels, miner: str, margin, reduction: str):
    triplets = list_triplets_by_loop(labels)
    if miner == "hard":
        triplets = list_hard_triplets_by_loop(torch.cdist(features.detach(), features.detach()), labels)
    losses, logs = calc_triplet_loss_by_loop(features, triplets, margin)
    return {"mean": losses.mean, "sum": losses.sum, "none": lambda: losses}[reduction](), logs


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("margin", [0.5, None])
@pytest.mark.parametrize("miner", MINERS)
@pytest.mark.parametrize("as_tensor", [True, False])
def test_loss_gradient_and_logs_equal_loop(generator, miner: str, margin, reduction: str, as_tensor: bool) -> None:
    features = torch.randn(8, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    criterion = TripletLossWithMiner(margin, MINERS[miner], reduction, need_logs=True)
    loss = criterion(features, torch.tensor(LABELS) if as_tensor else LABELS)
    loss.sum().backward()
    grad, features.grad = features.grad, None

    expected, logs = calc_expected(features, LABELS, miner, margin, reduction)
    expected.sum().backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(grad, features.grad)
    found = criterion.last_logs
    assert found.pop("own", None) == (7 if miner == "own features" else None)
    assert found == pytest.approx(logs)
    assert all(type(value) is float for value in found.values())


@pytest.mark.parametrize("miner", ["all", "hard"])
@pytest.mark.parametrize("margin", [0.5, None])
def test_gradient_by_finite_differences(generator, miner: str, margin) -> None:
    features = torch.randn(7, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    labels = torch.tensor([0, 0, 1, 1, 1, 2, 0])
    assert torch.autograd.gradcheck(lambda x: TripletLossWithMiner(margin, MINERS[miner])(x, labels), (features,))
    triplets = torch.randn(3, 4, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: TripletLoss(margin)(*x), (triplets,))


@pytest.mark.parametrize("miner", MINERS)
@pytest.mark.parametrize("margin", [0.5, None])
def test_equal_features_give_finite_gradients(miner: str, margin) -> None:
    features = torch.ones(8, 4, requires_grad=True)
    loss = TripletLossWithMiner(margin, MINERS[miner])(features, LABELS)
    loss.backward()
    assert loss.item() == pytest.approx(0.5 if margin else math.log(2))
    assert torch.equal(features.grad, torch.zeros(8, 4))


@pytest.mark.parametrize("miner", MINERS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_and_autocast(generator, miner: str, dtype: torch.dtype) -> None:
    layer = torch.nn.Linear(4, 5)
    x = torch.randn(8, 4, generator=generator)
    expected = TripletLossWithMiner(0.5, MINERS[miner])(layer(x), LABELS).item()
    for enabled in (True, False):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled and dtype != torch.float32):
            features = layer(x) if enabled else layer(x).to(dtype)
            loss = TripletLossWithMiner(0.5, MINERS[miner])(features, LABELS)
        loss.backward()
        assert loss.dtype == torch.float32
        # the features have 8 bits, the loss is float32; another triplet may be the hardest one then
        assert loss.item() == pytest.approx(expected, rel=0.05)
        assert layer.weight.grad.isfinite().all()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=4, max_size=12), st.integers(0, 1000), st.sampled_from([0.3, None]))
def test_order_of_the_batch_and_moving_it_do_not_matter(labels: list[int], seed: int, margin) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(len(labels), 3, dtype=torch.float64, generator=generator)
    order = torch.randperm(len(labels), generator=generator)
    for miner in ("all", "hard"):
        criterion = TripletLossWithMiner(margin, MINERS[miner])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some of these batches have no triplet
            loss = criterion(features, labels)
            again = criterion(features[order] + 3, torch.tensor(labels)[order])
        torch.testing.assert_close(loss, again)


@pytest.mark.parametrize("miner", ["all", "limited", "hard", "own features"])
@pytest.mark.parametrize("labels", [[], [1], [1, 1, 1], [1, 2, 3]], ids=str)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_no_triplet_gives_zero_with_a_graph_and_one_warning(miner: str, labels: list[int], reduction: str) -> None:
    features = torch.randn(len(labels), 4, requires_grad=True)
    criterion = TripletLossWithMiner(0.5, MINERS[miner], reduction, need_logs=True)
    with pytest.warns(UserWarning, match=r"A batch has no triplet.*BalanceSampler.*said once"):
        loss = criterion(features, labels)
    loss.sum().backward()
    assert loss.shape == ((0,) if reduction == "none" else ())
    assert loss.sum() == 0
    assert torch.equal(features.grad, torch.zeros(len(labels), 4))
    criterion(features, labels)  # silent now: warnings are errors here
    assert criterion.last_logs["active_tri"] == 0


def test_nan_features_are_not_hidden() -> None:
    features = torch.randn(8, 4)
    features[2] = math.nan
    for miner in MINERS.values():
        with pytest.raises(InvalidInputError, match=r"these rows have NaN or infinity: 2\."):
            TripletLossWithMiner(0.5, miner)(features, LABELS)


def test_what_a_child_of_a_miner_redefines_is_used() -> None:
    class One(AllTripletsMiner):
        def _sample(self, features, labels):
            return [0], [1], [3]

    class Twice(HardTripletsMiner):
        def sample(self, features, labels):
            return super().sample(features * 2, labels)

    features, labels = torch.randn(6, 4), [0, 0, 1, 1, 2, 2]
    loss = TripletLossWithMiner(100.0, One())(features, labels)
    torch.testing.assert_close(loss, TripletLoss(100.0)(features[:1], features[1:2], features[3:4]))
    twice = TripletLossWithMiner(100.0, Twice())(features, labels)
    torch.testing.assert_close(twice, TripletLossWithMiner(100.0, HardTripletsMiner())(features * 2, labels))


def test_logs_are_kept_only_when_asked_for() -> None:
    criterion = TripletLossWithMiner(0.5, OwnFeatures())
    criterion(torch.randn(8, 4), LABELS)
    assert criterion.last_logs == {"own": 7.0}
    criterion = TripletLoss(0.5)
    criterion(*torch.randn(3, 2, 4))
    assert criterion.last_logs == {}


def test_a_loss_can_be_copied_printed_and_named() -> None:
    criterion = TripletLossWithMiner(0.5, HardTripletsMiner())
    assert (
        repr(copy.deepcopy(criterion)) == "TripletLossWithMiner(margin=0.5, miner=HardTripletsMiner, reduction='mean')"
    )
    assert {c.criterion_name for c in (TripletLoss, TripletLossPlain, TripletLossWithMiner)} == {"triplet"}
    assert not list(criterion.parameters())


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("margin", [0.5, None])
@pytest.mark.parametrize("n", [0, 1, 5])
def test_given_triplets(generator, n: int, margin, reduction: str) -> None:
    features = torch.randn(3 * n, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    triplets = list(zip(*get_tri_ids_in_plain(3 * n), strict=True))
    losses, logs = calc_triplet_loss_by_loop(features, triplets, margin)
    plain = TripletLossPlain(margin, reduction, need_logs=True)
    direct = TripletLoss(margin, reduction, need_logs=True)
    for criterion, loss in ((plain, plain(features)), (direct, direct(features[0::3], features[1::3], features[2::3]))):
        expected = {"mean": losses.sum() / max(1, n), "sum": losses.sum(), "none": losses}[reduction]
        torch.testing.assert_close(loss, expected)
        assert criterion.last_logs == pytest.approx(logs)


def test_a_soft_margin_far_apart_does_not_overflow() -> None:
    features = torch.tensor([[0.0], [1e4], [0.0]], requires_grad=True)
    loss = TripletLossPlain(margin=None)(features)
    loss.backward()
    assert loss.item() == 1e4
    assert features.grad.isfinite().all()


def test_errors() -> None:
    for cls in (TripletLoss, TripletLossPlain, TripletLossWithMiner):
        with pytest.raises(InvalidInputError, match=r"margin must be above 0, or None .* got 0"):
            cls(margin=0)
        with pytest.raises(AssertionError, match="reduction must be one of mean, sum, none, got 'median'"):
            cls(margin=1, reduction="median")
    with pytest.raises(InvalidInputError, match=r"one shape \(T, D\), got \(2, 3\), \(2, 3\) and \(1, 3\)"):
        TripletLoss(1.0)(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(1, 3))
    with pytest.raises(InvalidInputError, match="divisible by 3, got 4"):
        TripletLossPlain(1.0)(torch.zeros(4, 3))
    with pytest.raises(InvalidInputError, match=r"features of the shape \(4, 3\) and 5 labels"):
        TripletLossWithMiner(1.0)(torch.zeros(4, 3), [0, 0, 1, 1, 1])
    with pytest.raises(TypeError, match="tensor or a list, got tuple"):
        TripletLossWithMiner(1.0)(torch.zeros(2, 3), (0, 0))

import copy

import pytest
import torch

from oml.errors import InvalidInputError
from oml.functional.distances import pairwise_dist
from oml.losses import TripletLossWithMiner
from oml.miners import HardTripletsMiner, MinerWithBank, NHardTripletsMiner
from tests.reference.miners import list_n_hard_triplets_by_loop
from tests.reference.triplets import calc_triplet_loss_by_loop

RANKS = [((1, 1), (1, 1)), ((1, 2), (1, 3)), ((2, 3), (2, 2)), ((1, 10**6), (1, 10**6))]


def make_batches(sizes: list[int], dtype=torch.float64, n_labels: int = 4) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [
        (torch.randn(n, 4, generator=generator, dtype=dtype), torch.randint(n_labels, (n,), generator=generator))
        for n in sizes
    ]


def list_by_loop(batches, number: int, bank_size: int, ranks) -> tuple[torch.Tensor, list[tuple[int, int, int]]]:
    """Give the features among which the batch of this number is mined, and the triplets, from the definition."""
    before = batches[number - bank_size : number] if number >= bank_size else []
    features = torch.cat([batches[number][0], *(f.detach() for f, _ in before)])
    labels = torch.cat([batches[number][1], *(y for _, y in before)]).tolist()
    distances = torch.cdist(features, features)
    return features, list_n_hard_triplets_by_loop(distances, labels, *ranks, n_anchors=len(batches[number][0]))


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("sizes", [[8, 8, 8, 8, 8], [6, 9, 2, 12, 7], [1, 0, 8, 1, 5]])
@pytest.mark.parametrize("bank_size", [1, 2])
def test_triplets_equal_loop(ranks, sizes: list[int], bank_size: int) -> None:
    batches = make_batches(sizes)
    miner = MinerWithBank(bank_size, NHardTripletsMiner(*ranks))
    for number, (features, labels) in enumerate(batches):
        known, triplets = list_by_loop(batches, number, bank_size, ranks)
        found = torch.stack(miner.sample(features, labels if number % 2 else labels.tolist()), dim=1)
        expected = torch.stack([known[list(t)] for t in triplets]) if triplets else known.new_empty(0, 3, 4)
        assert sorted(found.flatten(1).tolist()) == sorted(expected.flatten(1).tolist())


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("margin", [0.5, None])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("n_items", [8, 80])
def test_loss_gradient_and_logs_equal_loop(ranks, margin, reduction: str, n_items: int) -> None:
    if n_items == 80:  # few of many: these distances are computed apart
        ranks = ranks[0], (ranks[1][0], min(ranks[1][1], 3))
    batches = make_batches([n_items, 9, n_items, 12], n_labels=3 if n_items == 8 else 10)
    criterion = TripletLossWithMiner(margin, MinerWithBank(2, NHardTripletsMiner(*ranks)), reduction, need_logs=True)
    for number, (features, labels) in enumerate(batches):
        features.requires_grad_()
        loss = criterion(features, labels)
        known, triplets = list_by_loop(batches, number, 2, ranks)
        losses, logs = calc_triplet_loss_by_loop(known, triplets, margin)
        expected = losses.mean() if reduction == "mean" else losses.sum()
        torch.testing.assert_close(loss.sum(), expected)
        grads = [torch.autograd.grad(value, features, retain_graph=True)[0] for value in (loss.sum(), expected)]
        torch.testing.assert_close(*grads)
        found = criterion.last_logs
        assert {name: found[name] for name in logs} == pytest.approx(logs)


def test_logs_count_sources_per_anchor() -> None:
    batches = make_batches([8, 6])
    batches[1][1][0] = 99  # an item without a positive is no anchor
    miner = MinerWithBank(1, NHardTripletsMiner(2, 5))
    miner.sample(*batches[0])
    assert miner.last_logs["positives_from_bank"] == miner.last_logs["negatives_from_bank"] == 0
    criterion = TripletLossWithMiner(0.5, copy.deepcopy(miner))
    miner.sample(*batches[1])
    _, triplets = list_by_loop(batches, 1, 1, ((1, 2), (1, 5)))
    anchors = {t[0] for t in triplets}
    expected = {}
    for name, place in (("positives", 1), ("negatives", 2)):
        pairs = {(t[0], t[place]) for t in triplets}
        expected[f"{name}_from_bank"] = sum(item >= 6 for _, item in pairs) / len(anchors)
        expected[f"{name}_from_batch"] = sum(item < 6 for _, item in pairs) / len(anchors)
    assert miner.last_logs == pytest.approx(expected)
    assert min(expected.values()) > 0
    criterion(*batches[1])
    assert criterion.last_logs == pytest.approx(expected)  # without being asked for
    mask = [item >= 6 for item in range(14)]
    ids = [list(part) for part in zip(*triplets, strict=True)]
    assert MinerWithBank._prepare_logs(*ids, mask) == pytest.approx(expected)
    tensors = [torch.tensor(part) for part in ids]
    assert MinerWithBank._prepare_logs(*tensors, torch.tensor(mask)) == pytest.approx(expected)
    silent = MinerWithBank(1, need_logs=False)
    silent.sample(*batches[0])
    assert silent.last_logs == {}


def test_a_run_is_continued_exactly_from_the_state_of_its_criterion() -> None:
    batches = make_batches([8, 6, 8, 7, 8])
    criterion = TripletLossWithMiner(0.5, MinerWithBank(2, NHardTripletsMiner(2, 2)))
    for batch in batches[:3]:
        criterion(*batch)
    resumed = TripletLossWithMiner(0.5, MinerWithBank(2, NHardTripletsMiner(2, 2)))
    resumed.load_state_dict(criterion.state_dict())
    for batch in batches[3:]:
        assert torch.equal(criterion(*batch), resumed(*batch))


def test_evaluation_reads_and_does_not_write() -> None:
    batches = make_batches([8, 8, 8])
    criterion = TripletLossWithMiner(0.5, MinerWithBank(1))
    for batch in batches[:2]:
        criterion(*batch)
    state = {name: copy.deepcopy(value) for name, value in criterion.state_dict().items()}
    criterion.eval()
    in_evaluation = criterion(*batches[2])
    assert criterion.miner.last_logs["negatives_from_bank"] > 0
    assert torch.equal(criterion.miner.bank.features, state["miner.bank.features"])
    criterion.train()
    assert torch.equal(criterion(*batches[2]), in_evaluation)
    assert torch.equal(criterion.miner.bank.features, batches[2][0])


def test_half_precision_under_autocast() -> None:
    batches = make_batches([8, 8], dtype=torch.float32)
    exact = TripletLossWithMiner(0.5, MinerWithBank(1))
    criterion = TripletLossWithMiner(0.5, MinerWithBank(1))
    for features, labels in batches:
        half = features.bfloat16().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = criterion(half, labels)
        loss.backward()
        assert loss.dtype == criterion.miner.bank.features.dtype == torch.float32
        assert half.grad.isfinite().all()
        torch.testing.assert_close(loss, exact(half.detach().float(), labels))


def test_gradient_by_finite_differences() -> None:
    batches = make_batches([8, 8])
    miner = MinerWithBank(1, NHardTripletsMiner(2, 3))
    miner.sample(*batches[0])
    miner.eval()
    for margin in (0.5, None):
        criterion = TripletLossWithMiner(margin, miner)
        features = batches[1][0].clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda x, criterion=criterion: criterion(x, batches[1][1]), (features,))


def test_a_child_that_redefines_sample_is_asked_for_it() -> None:
    class First(MinerWithBank):
        def sample(self, features, labels):
            return features[:1], features[1:2], features[2:3]

    features = torch.randn(6, 4)
    labels = [0, 0, 1, 1, 2, 2]
    loss = TripletLossWithMiner(100.0, First())(features, labels)
    distances = pairwise_dist(features, features)
    torch.testing.assert_close(loss, 100 + distances[0, 1] - distances[0, 2])
    assert MinerWithBank.gives_distances


def test_defaults_and_errors() -> None:
    assert MinerWithBank().bank.n_batches == 3
    with pytest.raises(AssertionError, match="miner must be an NHardTripletsMiner, got HardTripletsMiner"):
        MinerWithBank(1, HardTripletsMiner())
    with pytest.raises(InvalidInputError, match=r"bank_size_in_batches must be .* got 0"):
        MinerWithBank(0)
    with pytest.raises(InvalidInputError, match=r"features of the shape \(4, 2\) and 3 labels"):
        MinerWithBank().sample(torch.zeros(4, 2), [0, 0, 1])

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oml.errors import InvalidInputError
from oml.losses import TripletLossWithMiner
from oml.miners import TripletMinerWithMemory
from tests.reference.triplets import calc_triplet_loss_by_loop, list_triplets_by_loop


def make_batches(sizes: list[int], dtype=torch.float64, n_labels: int = 3) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [
        (torch.randn(n, 4, generator=generator, dtype=dtype), torch.randint(n_labels, (n,), generator=generator))
        for n in sizes
    ]


def make_miner(bank_size: int, k: int, seed: int = 0) -> TripletMinerWithMemory:
    return TripletMinerWithMemory(bank_size, k, generator=np.random.default_rng(seed))


def find_rows(found: torch.Tensor, known: torch.Tensor) -> list[int]:
    """Give the positions of features, which all differ."""
    return (found[:, None] == known).all(dim=2).int().argmax(dim=1).tolist()


@pytest.mark.parametrize("k", [1, 2, 3, 6])
@pytest.mark.parametrize("sizes", [[8, 8, 8, 8], [8, 1, 0, 12, 9]])
def test_triplets_are_of_three_kinds(k: int, sizes: list[int]) -> None:
    batches = make_batches(sizes)
    miner = make_miner(2, k)
    for number, (features, labels) in enumerate(batches):
        *parts, is_original = miner.sample(features, labels if number % 2 else labels.tolist())
        before = batches[max(0, number - 2) : number]
        known = torch.cat([features, *(f for f, _ in before)])
        known_labels = torch.cat([labels, *(y for _, y in before)]).tolist()
        triplets = list(zip(*(find_rows(part, known) if len(part) else [] for part in parts), strict=True))
        own = list_triplets_by_loop(labels.tolist())
        n_own = len(own)
        assert is_original.tolist() == [False] * (len(triplets) - n_own) + [True] * n_own
        assert triplets[len(triplets) - n_own :] == own
        for a, p, n in triplets:
            assert a != p
            assert known_labels[a] == known_labels[p] != known_labels[n]
        n_in_batch = len(labels)
        # bank pairs with negatives of the batch come after batch pairs with negatives of the bank
        kinds = [(a >= n_in_batch, p >= n_in_batch, n >= n_in_batch) for a, p, n in triplets[: len(triplets) - n_own]]
        assert set(kinds) <= {(False, False, True), (True, True, False)}
        assert kinds == sorted(kinds)
        limit = n_own * (k - 1) // 2
        assert kinds.count((False, False, True)) <= limit
        assert kinds.count((True, True, False)) <= limit
        if k > 1 and len(before) == 2 and n_own > 20 and len(set(known_labels[n_in_batch:])) == 3:
            assert len(kinds) > limit  # two thirds of the negatives have another label
    assert len(miner.bank) == sum(sizes[-2:])


def test_the_documented_number_of_triplets() -> None:
    """With many labels hardly any draw is dropped."""
    features, labels = torch.randn(64, 4), torch.arange(16).repeat_interleave(4)
    miner, n_own = make_miner(3, 4), 16 * 4 * 3 * 60
    numbers = [len(miner.sample(features, labels + shift)[3]) for shift in (0, 16, 32, 48, 64)]
    assert numbers == [n_own] + [4 * n_own] * 4
    assert 0.9 * 4 * n_own < len(miner.sample(features, labels + 64)[3]) < 4 * n_own


def test_draws_repeat_with_the_generator_and_are_even() -> None:
    batches = make_batches([8, 8])
    miners = [make_miner(1, 60), make_miner(1, 60), make_miner(1, 60, seed=1)]
    found = [[torch.cat(miner.sample(*batch)[:3], dim=1) for batch in batches][1] for miner in miners]
    assert torch.equal(found[0], found[1])
    assert found[0].shape != found[2].shape or not torch.equal(found[0], found[2])
    _, counts = found[0].unique(dim=0, return_counts=True)
    own = len(list_triplets_by_loop(batches[1][1].tolist()))
    drawn = counts[counts > 1].double()
    # every triplet of a kind is as likely; the counts scatter as those of a Poisson law
    assert drawn.var() < 40 * drawn.mean()
    assert own * 20 < counts.sum() < own * 60
    state = np.random.get_state()
    try:
        parts = []
        for _ in range(2):
            np.random.seed(4)
            miner = TripletMinerWithMemory(1, 3)
            parts.append([torch.cat(miner.sample(*batch)[:3], dim=1) for batch in batches][1])
        assert torch.equal(*parts)
    finally:
        np.random.set_state(state)


def calc_expected_by_loop(features, labels, bank, bank_labels, anchors, k: int, margin):
    """Give the loss and the logs from the definition, with means over all that is drawn from."""
    known = torch.cat([features, bank])
    known_labels = [*labels, *bank_labels]
    batch, banked = range(len(labels)), range(len(labels), len(known_labels))
    own = list_triplets_by_loop(labels)
    n_drawn = len(own) * (k - 1) // 2
    parts = [(own, 1.0)]
    for firsts, items, negatives in ((batch, batch, banked), ([len(labels) + a for a in anchors], banked, batch)):
        pairs = [(a, p) for a in firsts for p in items if a != p and known_labels[a] == known_labels[p]]
        triplets = [(a, p, n) for a, p in pairs for n in negatives if known_labels[a] != known_labels[n]]
        parts.append((triplets, n_drawn / max(1, len(pairs) * len(negatives))))
    values = []
    for triplets, weight in parts:
        losses, logs = calc_triplet_loss_by_loop(known, triplets, margin)
        values.append((losses.sum() * weight, len(triplets) * weight, logs))
    total, number = sum(v[0] for v in values), sum(v[1] for v in values)

    def mean(kind: list, name: str) -> float:
        count = sum(v[1] for v in kind)
        return sum(v[1] * v[2][name] for v in kind) / count if count else math.nan

    logs = {name: mean(values, name) for name in ("active_tri", "pos_dist", "neg_dist")}
    for kind, part in (("orig", values[:1]), ("bank", values[1:])):
        logs[f"{kind}_active_tri"] = mean(part, "active_tri")
        logs[f"pos_dist_{kind}"], logs[f"neg_dist_{kind}"] = mean(part, "pos_dist"), mean(part, "neg_dist")
    return total, number, logs


@pytest.mark.parametrize("margin", [0.5, None])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_loss_is_the_expectation(margin, k: int, reduction: str) -> None:
    sizes, n_bank = [8, 8, 8, 6, 7], 2
    batches = make_batches(sizes)
    criterion = TripletLossWithMiner(margin, make_miner(n_bank, k), reduction, need_logs=True)
    for number, (features, labels) in enumerate(batches):
        features.requires_grad_()
        before = batches[max(0, number - n_bank) : number]
        loss = criterion(features, labels)
        bank = torch.cat([features[:0], *(f.detach() for f, _ in before)])
        bank_labels = [label for _, y in before for label in y.tolist()]
        # items are numbered from the first batch on; the batch of this number is the turn of every n-th of them
        first = sum(sizes[: max(0, number - n_bank)])
        anchors = [i for i in range(len(bank)) if (first + i - number) % max(1, len(before)) == 0]
        total, count, logs = calc_expected_by_loop(features, labels.tolist(), bank, bank_labels, anchors, k, margin)
        expected = total / count if reduction == "mean" else total
        torch.testing.assert_close(loss, expected)
        grads = [torch.autograd.grad(value, features, retain_graph=True)[0] for value in (loss, expected)]
        torch.testing.assert_close(*grads)
        assert criterion.last_logs == pytest.approx(logs, nan_ok=True)
        assert math.isnan(logs["bank_active_tri"]) == (k == 1 or number == 0)


def test_drawn_triplets_have_this_expectation() -> None:
    batches = make_batches([12, 12])
    means = []
    for seed in range(30):
        criterion = TripletLossWithMiner(0.5, make_miner(1, 9, seed), "none")
        criterion(*batches[0])
        means.append(criterion(*batches[1]).mean().item())
    criterion = TripletLossWithMiner(0.5, make_miner(1, 9))
    criterion(*batches[0])
    expected = criterion(*batches[1]).item()
    error = np.std(means) / math.sqrt(len(means))
    assert error < 0.02 * expected
    assert abs(np.mean(means) - expected) < 4 * error


def test_logs_of_listed_triplets() -> None:
    criterion = TripletLossWithMiner(0.5, make_miner(1, 3), "none", need_logs=True)
    for number, batch in enumerate(make_batches([8, 8])):
        losses = criterion(*batch)
        n_own = len(list_triplets_by_loop(batch[1].tolist()))
        n_bank = len(losses) - n_own
        logs = criterion.last_logs
        assert logs["orig_active_tri"] == pytest.approx((losses[n_bank:] > 0).double().mean().item())
        if number == 0:
            assert math.isnan(logs["bank_active_tri"])
            continue
        for name, (orig, bank) in {
            "active_tri": ("orig_active_tri", "bank_active_tri"),
            "pos_dist": ("pos_dist_orig", "pos_dist_bank"),
            "neg_dist": ("neg_dist_orig", "neg_dist_bank"),
        }.items():
            weighted = (logs[orig] * n_own + logs[bank] * n_bank) / len(losses)
            assert weighted == pytest.approx(logs[name])


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6))
def test_each_item_is_an_anchor_once_in_a_full_bank(n_batches: int, size: int, other_size: int) -> None:
    miner, n_steps = make_miner(n_batches, 3), 4 * n_batches
    counts: dict[int, int] = {}
    n_items = 0
    for step in range(n_steps):
        n = size if step % 2 else other_size
        if miner.bank.is_full:
            for item in miner.bank.features[miner.turn].flatten().int().tolist():
                counts[item] = counts.get(item, 0) + 1
        miner.update_bank(torch.arange(n_items, n_items + n)[:, None].float(), torch.zeros(n, dtype=torch.long))
        n_items += n
    last = n_items - len(miner.bank)  # these have been in a full bank as long as they could
    first = sum(size if step % 2 else other_size for step in range(n_batches))
    assert all(counts.get(item) == 1 for item in range(first, last))


@pytest.mark.slow
def test_it_compiles() -> None:
    batches = make_batches([6, 6, 6])
    plain, compiled = (TripletLossWithMiner(0.5, make_miner(2, 3)) for _ in range(2))
    step = torch.compile(compiled, backend="aot_eager")
    for batch in batches:
        torch.testing.assert_close(step(*batch), plain(*batch))


def test_documented_parts() -> None:
    miner = make_miner(2, 3)
    firsts, seconds = miner.get_pos_pairs({7: [3, 5, 9], 2: [1, 0], 4: [8]})
    expected = {(3, 5), (5, 3), (3, 9), (9, 3), (5, 9), (9, 5), (0, 1), (1, 0)}
    assert len(firsts) == 8
    assert set(zip(firsts, seconds, strict=True)) == expected
    firsts, seconds = miner.get_pos_pairs({7: [3, 5, 9], 2: [1, 0], 4: [8]}, n=50)
    assert len(firsts) == 50
    assert set(zip(firsts, seconds, strict=True)) == expected
    assert miner.get_pos_pairs({7: [3]}, n=5) == ([], [])
    assert miner.take_tri_by_mask([0, 1], [2, 3], [4, 5], [True, False]) == ([0], [2], [4])


def test_evaluation_half_precision_and_a_continued_run() -> None:
    batches = make_batches([8, 8, 8, 8], dtype=torch.float32)
    criterion = TripletLossWithMiner(0.5, make_miner(2, 3))
    for features, labels in batches[:3]:
        half = features.bfloat16().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = criterion(half, labels)
        loss.backward()
        assert loss.dtype == criterion.miner.bank.features.dtype == torch.float32
        assert half.grad.isfinite().all()
    resumed = TripletLossWithMiner(0.5, make_miner(2, 3))
    resumed.load_state_dict(copy.deepcopy(criterion.state_dict()))
    before = criterion.miner.bank.features
    criterion.eval()
    loss = criterion(*batches[3])
    criterion.miner.sample(*batches[3])
    assert torch.equal(criterion.miner.bank.features, before)
    assert torch.equal(resumed(*batches[3]), loss)
    assert not torch.equal(resumed.miner.bank.features, before)


@pytest.mark.parametrize("labels", [[], [1], [1, 1, 1], [1, 2, 3]], ids=str)
def test_no_triplet(labels: list[int]) -> None:
    criterion = TripletLossWithMiner(0.5, make_miner(2, 3), need_logs=True)
    features = torch.randn(len(labels), 4, requires_grad=True)
    with pytest.warns(UserWarning, match="A batch has no triplet"):
        criterion(features, labels)
    loss = criterion(features, labels)
    loss.backward()
    assert loss == 0
    assert torch.equal(features.grad, torch.zeros(len(labels), 4))
    assert criterion.last_logs["active_tri"] == 0
    assert [len(part) for part in criterion.miner.sample(features, labels)] == [0] * 4


def test_errors() -> None:
    for k in (0, 1.5, True):
        with pytest.raises(AssertionError, match="tri_expand_k must be a whole number of at least 1, got"):
            TripletMinerWithMemory(2, k)
    with pytest.raises(InvalidInputError, match=r"bank_size_in_batches must be .* got -1"):
        TripletMinerWithMemory(-1, 2)
    with pytest.raises(InvalidInputError, match=r"features of the shape \(4, 2\) and 3 labels"):
        TripletMinerWithMemory(1, 2).sample(torch.zeros(4, 2), [0, 0, 1])
    miner = TripletMinerWithMemory(1, 2)
    miner.update_bank(torch.zeros(4, 2), [0, 0, 1, 1])
    with pytest.raises(InvalidInputError, match=r"width 2, but the batch has 3"):
        miner.sample_distances(torch.zeros(4, 3), [0, 0, 1, 1])

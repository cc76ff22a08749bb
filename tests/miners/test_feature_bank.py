import copy
import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oml.errors import InvalidInputError
from oml.miners import FeatureBank, MinerWithBank


def make_batch(size: int, seed: int, width: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, width, generator=generator), torch.randint(5, (size,), generator=generator)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.lists(st.integers(0, 4), max_size=9))
def test_it_holds_the_last_batches_of_any_size(n_batches: int, sizes: list[int]) -> None:
    bank = FeatureBank(n_batches)
    batches = [make_batch(size, seed) for seed, size in enumerate(sizes)]
    for features, labels in batches:
        bank.push(features.requires_grad_(), labels)
    kept = batches[-n_batches:] if batches else []
    assert len(bank) == sum(len(labels) for _, labels in kept)
    assert bank.is_full == (len(batches) >= n_batches)
    assert not bank.features.requires_grad
    if kept:
        assert torch.equal(bank.features, torch.cat([features for features, _ in kept]))
        assert torch.equal(bank.labels, torch.cat([labels for _, labels in kept]))
    bank.reset()
    assert len(bank) == len(bank.features) == len(bank.labels) == 0
    assert not bank.is_full


@pytest.mark.parametrize("n_seen", [0, 1, 2, 5])
@pytest.mark.parametrize("assign", [True, False])
def test_a_state_is_continued_exactly(n_seen: int, assign: bool) -> None:
    bank, other = FeatureBank(2), FeatureBank(2)
    for seed in range(n_seen):
        bank.push(*make_batch(2 + seed, seed))
    other.push(*make_batch(7, 9, width=5))  # what it held before does not matter
    file = io.BytesIO()
    torch.save(bank.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True), assign=assign)
    for seed in range(4):
        assert torch.equal(other.features, bank.features)
        assert torch.equal(other.labels, bank.labels)
        assert other.get_extra_state() == bank.get_extra_state()
        for each in (bank, other):
            each.push(*make_batch(3, seed))


def test_it_follows_the_device_and_the_precision_of_features() -> None:
    bank = FeatureBank(2)
    features, labels = make_batch(4, 0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        bank.push(features.bfloat16(), labels)
    assert bank.features.dtype == torch.float32
    bank.fit(features.double())
    assert bank.features.dtype == torch.float64
    bank.fit(features.half())
    assert bank.features.dtype == torch.float32
    bank.fit(features.to("meta"))
    assert bank.features.device.type == bank.labels.device.type == "meta"
    assert copy.deepcopy(FeatureBank(2)).half().features.dtype == torch.float16  # as any buffer


def test_errors() -> None:
    bank = FeatureBank(2)
    bank.push(*make_batch(4, 0))
    with pytest.raises(InvalidInputError, match=r"features of the width 3, but the batch has 5: .* with another model"):
        bank.push(*make_batch(4, 0, width=5))
    other = FeatureBank(3)
    other.push(*make_batch(1, 1))
    with pytest.raises(InvalidInputError, match=r"This bank keeps 3 batches \(bank_size_in_batches\), .* restored 2"):
        other.load_state_dict(bank.state_dict())
    assert len(other) == len(other.features) == 1  # nothing was taken
    for size in (0, 1.5, True, "2"):
        with pytest.raises(AssertionError, match="bank_size_in_batches must be a whole number of at least 1, got"):
            FeatureBank(size)


def test_a_restored_miner_of_another_width_says_so() -> None:
    trained, fresh = MinerWithBank(1), MinerWithBank(1)
    trained.sample(*make_batch(4, 0, width=3))
    fresh.load_state_dict(trained.state_dict())
    with pytest.raises(InvalidInputError, match=r"width 3, but the batch has 2.* Empty it with reset\(\)"):
        fresh.sample(*make_batch(4, 0, width=2))
    fresh.bank.reset()
    fresh.sample(*make_batch(4, 0, width=2))
    assert list(trained.state_dict()) == ["bank.features", "bank.labels", "bank._extra_state"]

"""
On a device a step of the triplet loss does not wait for it, whatever the miner.

Tensors on the device "meta" have shapes and no values: what would have to wait for values fails there, on any machine.
"""

import contextlib
import warnings

import numpy as np
import pytest
import torch

from oml.losses import TripletLossWithMiner
from oml.miners import (
    AllTripletsMiner,
    HardClusterMiner,
    HardTripletsMiner,
    MinerWithBank,
    NHardTripletsMiner,
    TripletMinerWithMemory,
)

MINERS = {
    "all": AllTripletsMiner,
    "hard": HardTripletsMiner,
    "n hard, few": lambda: NHardTripletsMiner(1, 2),
    "n hard, many": lambda: NHardTripletsMiner((2, 3), 40),
    "cluster": HardClusterMiner,
    "bank": lambda: MinerWithBank(2, NHardTripletsMiner(2, 2)),
    "memory": lambda: TripletMinerWithMemory(2, 3, generator=np.random.default_rng(0)),
}


@pytest.fixture
def meta_autocast(monkeypatch) -> None:
    """Make autocast accept the device "meta", which it does not know."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())


@pytest.mark.usefixtures("meta_autocast")
@pytest.mark.parametrize("margin", [0.3, None])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("labels_on", ["meta", "cpu"])
@pytest.mark.parametrize("miner", MINERS)
def test_no_value_is_needed_on_the_host(miner: str, labels_on: str, reduction: str, margin) -> None:
    if miner == "cluster" and labels_on == "meta":
        labels_on = "cpu"  # their number of labels decides the shapes
    criterion = TripletLossWithMiner(margin, MINERS[miner](), reduction, need_logs=True)
    for size in (64, 64, 48, 64):
        features = torch.randn(size, 16).to("meta").requires_grad_()
        loss = criterion(features, (torch.arange(size) // 4).to(labels_on))
        loss.backward()
        assert (loss.shape, features.grad.shape) == ((), (size, 16))


@pytest.mark.usefixtures("meta_autocast")
def test_a_needed_value_is_seen() -> None:
    with pytest.raises(NotImplementedError, match="nonzero"):
        TripletLossWithMiner(0.3, AllTripletsMiner(), "none")(torch.zeros(4, 2, device="meta"), [0, 0, 1, 1])


def count_waits(step) -> int:
    """Give how often the host waits for the device in a step."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in caught)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("margin", [0.3, None])
@pytest.mark.parametrize("labels_on", ["cuda", "cpu"])
@pytest.mark.parametrize("miner", MINERS)
def test_a_step_does_not_wait(miner: str, labels_on: str, margin) -> None:
    criterion = TripletLossWithMiner(margin, MINERS[miner](), need_logs=True)
    on_host = TripletLossWithMiner(margin, MINERS[miner](), need_logs=True)
    generator = torch.Generator().manual_seed(0)
    # the number of labels decides the shapes of hard clusters: labels on the device have to be looked at
    has_to_wait = miner == "cluster" and labels_on == "cuda"
    for number in range(4):  # from the third on the banks are full
        labels = torch.arange(64) // 4 + number
        features = torch.randn(64, 16, generator=generator)
        given, y = features.cuda().requires_grad_(), labels.to(labels_on)
        n_waits = count_waits(lambda x=given, y=y: criterion(x, y).backward())
        assert (n_waits > 0) == has_to_wait
        features.requires_grad_()
        on_host(features, labels).backward()
        torch.testing.assert_close(given.grad.cpu(), features.grad, rtol=1e-3, atol=1e-5)
    assert criterion.last_logs == pytest.approx(on_host.last_logs, rel=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_waits_are_seen() -> None:
    x = torch.ones(3, device="cuda")
    assert count_waits(lambda: x.sum().item()) == 1
    assert count_waits(lambda: x.sum()) == 0

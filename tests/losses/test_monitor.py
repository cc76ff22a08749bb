import math
import warnings

import pytest
import torch

from oml.errors import InvalidInputError
from oml.losses.monitor import TrainingMonitor

HEALTHY = torch.eye(16)


def look(monitor, features, loss=0.1, ids=None):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        monitor(features, torch.tensor(loss), ids)
    return [str(warning.message) for warning in caught]


def test_healthy_batches_are_silent(generator):
    monitor = TrainingMonitor(margin=0.2, every=1)
    for _ in range(20):
        assert look(monitor, torch.randn(32, 8, generator=generator)) == []
    assert 5 < monitor.last_logs["effective_rank"] <= 8
    assert monitor.last_logs["spread"] > 0.9


def test_spread_and_rank_by_their_definitions(generator):
    features = torch.randn(20, 6, generator=generator) + 1
    monitor = TrainingMonitor(every=1)
    assert look(monitor, features) == []
    units = (features / features.norm(dim=1, keepdim=True)).double()
    cosines = (units @ units.T).mean().item()
    values = torch.linalg.eigvalsh(torch.cov(units.T, correction=0)).clamp_min(0).sqrt()
    shares = [float(v / values.sum()) for v in values]
    assert monitor.last_logs["spread"] == pytest.approx(1 - cosines, abs=1e-5)
    assert monitor.last_logs["effective_rank"] == pytest.approx(
        math.exp(-sum(p * math.log(p) for p in shares)), rel=1e-4
    )


def test_collapse_is_said_once(generator):
    monitor = TrainingMonitor(every=1)
    collapsed = torch.ones(16, 8) + 1e-3 * torch.randn(16, 8, generator=generator)
    (message,) = look(monitor, collapsed)
    assert "nearly coincide" in message
    assert "Lower the learning rate" in message
    assert look(monitor, collapsed) == []


def test_few_dimensions(generator):
    line = torch.randn(16, 1, generator=generator) * torch.ones(1, 8)
    (message,) = look(TrainingMonitor(every=1), line)
    assert "use 1 of 8 dimensions" in message
    assert look(TrainingMonitor(every=1), line[:7]) == []  # too few items to say


@pytest.mark.parametrize(("margin", "stuck"), [(0.2, 0.2), ("soft", math.log(2))])
def test_a_loss_at_its_margin(margin, stuck):
    monitor = TrainingMonitor(margin=margin, every=2, patience=3)
    messages = [look(monitor, HEALTHY, stuck * 1.01) for _ in range(6)]
    assert [len(found) for found in messages] == [0, 0, 0, 0, 1, 0]
    assert f"The loss has stayed at its margin, {stuck:.3g}, for 6 batches" in messages[4][0]

    monitor = TrainingMonitor(margin=margin, every=1, patience=3)
    for loss in (stuck, stuck, 0.5 * stuck, stuck, stuck):  # never three times in a row
        assert look(monitor, HEALTHY, loss) == []
    assert look(TrainingMonitor(every=1, patience=1), HEALTHY, stuck) == []


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_are_not_finite(value):
    monitor = TrainingMonitor(every=10)
    assert look(monitor, HEALTHY) == []
    bad = HEALTHY.clone()
    bad[[2, 5], 1] = value
    (message,) = look(monitor, bad, ids=[f"photo {i}" for i in range(16)])
    assert "Batch 1 has NaN or infinite numbers in the features of items photo 2, photo 5." in message
    assert "lower the learning rate" in message

    (message,) = look(TrainingMonitor(every=10), HEALTHY, value, ids=torch.arange(100, 116))
    assert "in the loss, though not in the features (items 100, 101, " in message


def test_empty_batch():
    assert look(TrainingMonitor(every=1), torch.zeros(0, 4)) == []


def test_errors():
    with pytest.raises(InvalidInputError, match="`every` must be at least 1, got 0"):
        TrainingMonitor(every=0)
    with pytest.raises(InvalidInputError, match="`ids` must be one per row of the features, got 2 for 16"):
        TrainingMonitor()(HEALTHY, torch.tensor(0.0), ids=[1, 2])

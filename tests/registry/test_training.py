"""Optimisers and schedulers by name."""

import pytest
import torch

from oml.registry.optimizers import OPTIMIZERS_REGISTRY, get_optimizer, get_optimizer_by_cfg
from oml.registry.schedulers import (
    SCHEDULERS_REGISTRY,
    ReduceLROnPlateauPatch,
    get_scheduler,
    get_scheduler_by_cfg,
)


@pytest.fixture
def parameters():
    return [torch.nn.Parameter(torch.ones(2))]


def test_documented_names():
    names = "adadelta adagrad adam adamw adamax asgd lbfgs rmsprop rprop sgd"
    assert set(OPTIMIZERS_REGISTRY) == set(names.split())
    names = "lambda multiplicative step multi_step exponential cosine_annealing cyclic one_cycle reduce_on_plateau"
    assert set(SCHEDULERS_REGISTRY) == set(names.split())


def test_optimizers(parameters):
    cfg = {"name": "adamw", "args": {"lr": 0.5, "betas": (0.8, 0.9)}}
    optimizer = get_optimizer_by_cfg(cfg, params=parameters, unknown=1)
    assert type(optimizer) is torch.optim.AdamW
    assert (optimizer.defaults["lr"], optimizer.defaults["betas"]) == (0.5, (0.8, 0.9))
    assert optimizer.param_groups[0]["params"] == parameters
    assert type(get_optimizer("sgd", params=parameters, lr=0.1)) is torch.optim.SGD
    with pytest.raises(TypeError, match="The optimizer 'adam' needs the arguments: params"):
        get_optimizer_by_cfg({"name": "adam"})
    with pytest.raises(TypeError, match=r"The optimizer 'sgd' has no argument 'momentun'. Did you mean 'momentum'"):
        get_optimizer("sgd", params=parameters, momentun=0.9)
    with pytest.raises(KeyError, match=r"Unknown optimizer 'adamv'. Did you mean 'adam"):
        get_optimizer("adamv")


@pytest.mark.parametrize(
    ("name", "args", "runtime", "expected"),
    [
        ("step", {"step_size": 2, "gamma": 0.1}, {}, [1, 0.1, 0.1, 0.01]),
        ("multi_step", {"milestones": [1, 3], "gamma": 0.1}, {}, [0.1, 0.1, 0.01, 0.01]),
        ("exponential", {"gamma": 0.5}, {}, [0.5, 0.25, 0.125, 0.0625]),
        ("lambda", {}, {"lr_lambda": lambda epoch: 1 / (1 + epoch)}, [1 / 2, 1 / 3, 1 / 4, 1 / 5]),
        ("multiplicative", {}, {"lr_lambda": lambda epoch: 0.5}, [0.5, 0.25, 0.125, 0.0625]),
        ("cyclic", {"base_lr": 1, "max_lr": 3, "step_size_up": 2}, {}, [2, 3, 2, 1]),
    ],
)
def test_schedulers(parameters, name, args, runtime, expected):
    optimizer = torch.optim.SGD(parameters, lr=1.0)
    scheduler = get_scheduler_by_cfg({"name": name, "args": args}, optimizer=optimizer, **runtime)
    rates = []
    for _ in expected:
        optimizer.step()
        scheduler.step()
        rates += scheduler.get_last_lr()
    assert rates == pytest.approx(expected)


def test_plateau(parameters):
    optimizer = torch.optim.SGD(parameters, lr=1.0)
    scheduler = get_scheduler("reduce_on_plateau", optimizer=optimizer, factor=0.5, patience=0)
    assert isinstance(scheduler, ReduceLROnPlateauPatch)
    assert isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)
    assert scheduler.get_last_lr() == [1.0]
    for value in (1.0, 1.0):
        scheduler.step(value)
    assert scheduler.get_last_lr() == [0.5]
    with pytest.raises(TypeError, match=r"'reduce_on_plateau' has no argument 'facto'. Did you mean 'factor'"):
        get_scheduler("reduce_on_plateau", optimizer=optimizer, facto=0.5)

import copy
import math

import pytest
import torch

from oml.errors import InvalidInputError
from oml.functional.losses import info_nce_loss, sigmoid_loss
from oml.losses import InfoNCE, SigLIPLoss
from tests.reference.two_towers import calc_cosines_by_loop, calc_info_nce_by_loop, calc_sigmoid_loss_by_loop

LABELS = [0, 1, 0, 2, 1]
LOSSES = {
    "symmetric": (lambda **o: InfoNCE(0.2, symmetric=True, **o), lambda s, y: calc_info_nce_by_loop(s, 0.2, True, y)),
    "one way": (lambda **o: InfoNCE(0.2, symmetric=False, **o), lambda s, y: calc_info_nce_by_loop(s, 0.2, False, y)),
    "sigmoid": (lambda **o: SigLIPLoss(0.2, -1.0, **o), lambda s, y: calc_sigmoid_loss_by_loop(s, 0.2, -1.0, y)),
}


@pytest.fixture(params=LOSSES)
def case(request):
    return LOSSES[request.param]


def make_features(n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    a, b = torch.randn(2, n, 4, dtype=torch.float64, generator=generator)
    return a.requires_grad_(), b.requires_grad_()


@pytest.mark.parametrize("labels", [None, LABELS], ids=str)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_loss_and_gradient_equal_loop(generator, case, labels, reduction: str) -> None:
    construct, by_loop = case
    a, b = make_features(5, generator)
    criterion = construct(learnable=True, reduction=reduction).double()
    loss = criterion(a, b, labels)
    losses = by_loop(calc_cosines_by_loop(a, b), labels)
    expected = {"mean": losses.mean(), "sum": losses.sum(), "none": losses}[reduction]
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-6)  # the scale is kept in float32
    grads = torch.autograd.grad(loss.square().sum(), (a, b))
    torch.testing.assert_close(grads, torch.autograd.grad(expected.square().sum(), (a, b)), rtol=1e-5, atol=1e-6)


def test_gradient_by_finite_differences(generator, case) -> None:
    a, b = make_features(4, generator)
    criterion = case[0](learnable=True).double()

    def calc(a, b, *parameters):
        return torch.func.functional_call(criterion, dict(zip(names, parameters, strict=True)), (a, b))

    names = [name for name, _ in criterion.named_parameters()]
    assert names[0] == "log_scale"
    parameters = [p.detach().clone().requires_grad_() for p in criterion.parameters()]
    assert torch.autograd.gradcheck(calc, (a, b, *parameters))


def test_one_pair_and_none(generator, case) -> None:
    for n in (0, 1):
        a, b = make_features(n, generator)
        criterion = case[0]()
        with pytest.warns(UserWarning, match="fewer than two pairs, so there is nothing to tell a pair from"):
            loss = criterion(a, b)
        loss.backward()
        assert a.grad.isfinite().all()
        criterion(a, b)  # silent now
        if n == 0 or isinstance(criterion, InfoNCE):
            assert loss == 0
    assert criterion.last_logs["neg_sim"] == 0


def test_a_learnable_temperature_learns_and_stays_bounded(generator) -> None:
    a = torch.randn(16, 8, generator=generator)
    b = a + 0.1 * torch.randn(16, 8, generator=generator)
    criterion = InfoNCE(0.5, learnable=True)
    optimiser = torch.optim.SGD(criterion.parameters(), lr=10.0)
    for _ in range(50):
        optimiser.zero_grad()
        criterion(a, b).backward()
        optimiser.step()
    criterion(a, b)
    assert criterion.temperature == pytest.approx(0.01)
    assert criterion.log_scale.exp().item() == pytest.approx(100)


def test_ignored_pairs_need_not_be_ignored_both_ways() -> None:
    similarities = torch.tensor([[0.5, 0.25, 0.0], [0.75, 0.5, 0.25], [1.0, 0.5, 0.75]])
    ignored = torch.tensor([[True, True, False], [False, False, False], [False, False, False]])
    rows = torch.tensor([0.5, 0.0]).logsumexp(0), torch.tensor([0.5, 0.75, 1.0]).logsumexp(0)
    columns = torch.tensor([0.5, 0.5]).logsumexp(0)  # of the second of the other side, whom the first ignores
    losses = info_nce_loss(similarities, 1.0, ignored=ignored)
    torch.testing.assert_close(losses[0], (rows[0] + rows[1]) / 2 - 0.5)
    torch.testing.assert_close(losses[1], (torch.tensor([0.75, 0.5, 0.25]).logsumexp(0) + columns) / 2 - 0.5)


def test_state(case) -> None:
    for learnable in (True, False):
        criterion = case[0](learnable=learnable)
        assert bool(list(criterion.parameters())) is learnable
        with torch.no_grad():
            criterion.log_scale.fill_(math.log(7.0))
        other = case[0](learnable=learnable)
        other.load_state_dict(criterion.state_dict())
        assert other.temperature == pytest.approx(1 / 7)
        assert f"temperature=0.1429, learnable={learnable}, reduction='mean'" in repr(copy.deepcopy(other))


def test_logs() -> None:
    criterion = InfoNCE(0.5)
    assert criterion.last_logs == {}
    a = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    b = torch.tensor([[2.0, 0.0], [3.0, 0.0]])
    criterion(a, b)
    assert criterion.last_logs == pytest.approx({"pos_sim": 0.5, "neg_sim": 0.5, "accuracy": 1.0, "temperature": 0.5})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast(generator, case, dtype: torch.dtype) -> None:
    a, b = torch.randn(2, 5, 4, generator=generator)
    expected = case[0]()(a, b).item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = case[0]()(a.to(dtype).requires_grad_(), b.to(dtype))
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected, rel=0.05)  # the features have 8 bits


def test_large_scales_do_not_overflow(case) -> None:
    criterion = case[0]()
    a = torch.eye(3).requires_grad_()
    criterion.log_scale.data.fill_(20.0)
    loss = criterion(a, torch.eye(3).flip(0))
    loss.backward()
    assert loss.isfinite()
    assert a.grad.isfinite().all()


def test_errors(case) -> None:
    with pytest.raises(InvalidInputError, match=r"one shape \(B, D\), row by row a pair, got \(2, 3\) and \(3, 3\)"):
        case[0]()(torch.zeros(2, 3), torch.zeros(3, 3))
    with pytest.raises(InvalidInputError, match="one label per row of the features, got 1 labels and 2 features"):
        case[0]()(torch.zeros(2, 3), torch.zeros(2, 3), [1])
    with pytest.raises(InvalidInputError, match="one of mean, sum, none, got 'max'"):
        case[0](reduction="max")
    for cls in (InfoNCE, SigLIPLoss):
        with pytest.raises(InvalidInputError, match="temperature must be above 0, got 0"):
            cls(0)
        with pytest.raises(InvalidInputError, match=r"temperature must be at least 0.01, got 0.001.*learnable=False"):
            cls(0.001, learnable=True)
    for function, options in ((info_nce_loss, (1.0,)), (sigmoid_loss, (1.0, 0.0))):
        with pytest.raises(InvalidInputError, match=r"must be square.* got the shape \(2, 3\)"):
            function(torch.zeros(2, 3), *options)
        with pytest.raises(InvalidInputError, match=r"ignored must be bool and of the shape.* \(2, 2\), got"):
            function(torch.zeros(2, 2), *options, ignored=torch.zeros(2, 2))

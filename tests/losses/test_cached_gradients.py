import copy

import pytest
import torch
from torch import nn

from oml.errors import InvalidInputError
from oml.losses import SurrogatePrecision, TripletLossWithMiner
from oml.losses.cached_gradients import CachedGradients
from oml.miners import AllTripletsMiner, TripletMinerWithMemory

LABELS = torch.arange(14) // 3


def make_net(dropout=0.0):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 32), nn.Dropout(dropout), nn.Tanh(), nn.Linear(32, 4))


class WithProxies(nn.Module):
    """A criterion with weights of its own."""

    def __init__(self):
        super().__init__()
        self.proxies = nn.Parameter(torch.randn(5, 4, generator=torch.Generator().manual_seed(1)))

    def forward(self, features, labels):
        return nn.functional.cross_entropy(features @ self.proxies.T, labels)


CRITERIA = [TripletLossWithMiner(margin=None), SurrogatePrecision(k=3), WithProxies()]


def take_gradients(module):
    return {name: p.grad.clone() for name, p in module.named_parameters()}


@pytest.mark.parametrize("criterion", CRITERIA, ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("chunk_size", [1, 4, 14, 100])
def test_gradients_are_those_of_the_whole_batch(criterion, chunk_size, generator):
    inputs = torch.randn(14, 6, generator=generator)
    net, criterion = make_net(), copy.deepcopy(criterion)
    loss = criterion(net(inputs), LABELS)
    loss.backward()
    expected = take_gradients(net), take_gradients(criterion)

    net.zero_grad()
    criterion.zero_grad()
    step = CachedGradients(net, criterion, chunk_size)
    found = step(inputs, LABELS)
    (3 * found).backward()  # as a GradScaler does
    torch.testing.assert_close(found, loss)
    for module, gradients in zip((net, criterion), expected, strict=True):
        for name, gradient in take_gradients(module).items():
            torch.testing.assert_close(gradient, 3 * gradients[name], rtol=1e-4, atol=1e-6)


def test_the_second_pass_repeats_the_first(generator):
    """Dropout takes the same places again: gradients are those of the features that the loss has seen."""
    inputs, seen = torch.randn(14, 6, generator=generator), []
    net = make_net(dropout=0.5)
    net.register_forward_hook(lambda *arguments: seen.append(arguments[2].detach().clone()))
    step = CachedGradients(net, CRITERIA[0], 5)
    loss = step(inputs, LABELS)
    torch.rand(7)  # what else the step draws
    state = torch.get_rng_state()
    loss.backward()
    assert torch.equal(torch.get_rng_state(), state)
    assert len(seen) == 6
    assert all(torch.equal(first, second) for first, second in zip(seen[:3], seen[3:], strict=True))


def test_autocast_is_repeated(generator):
    inputs, dtypes = torch.randn(8, 6, generator=generator), []
    net = make_net()
    net.register_forward_hook(lambda *arguments: dtypes.append(arguments[2].dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = CachedGradients(net, CRITERIA[0], 4)(inputs, torch.arange(8) // 2)
    loss.backward()
    assert dtypes == [torch.bfloat16] * 4


class OfDict(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, inputs):
        return self.net(inputs["x"]) * inputs["more"][0][:, None]


def test_inputs_of_several_tensors(generator):
    inputs = {"x": torch.randn(14, 6, generator=generator), "more": [torch.rand(14, generator=generator)]}
    found = CachedGradients(OfDict(make_net()), CRITERIA[0], 4).check_equivalence(inputs, LABELS)
    assert max(found.values()) < 1e-5


def test_memory_is_that_of_a_chunk(generator):
    """What the graph saves at any moment is counted."""
    sizes, peak = [0], [0]

    class Kept:
        def __init__(self, tensor):
            self.tensor = tensor
            sizes[0] += tensor.numel()
            peak[0] = max(peak[0], sizes[0])

        def __del__(self):
            sizes[0] -= self.tensor.numel()

    def measure(run):
        sizes[0] = peak[0] = 0
        with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
            run()
        return peak[0]

    class OfSquares(nn.Module):
        def forward(self, features):
            return features.square().mean()

    net = nn.Sequential(nn.Linear(6, 512), nn.Tanh(), nn.Linear(512, 512), nn.Tanh(), nn.Linear(512, 4))
    inputs, criterion = torch.randn(256, 6, generator=generator), OfSquares()
    weights = sum(p.numel() for p in net.parameters())
    whole = measure(lambda: criterion(net(inputs)).backward())
    cached = measure(lambda: CachedGradients(net, criterion, 16)(inputs).backward())
    of_chunk = measure(lambda: criterion(net(inputs[:16])).backward())
    assert cached <= of_chunk + 256 * 4  # and the features of all
    assert whole - weights > 10 * (cached - weights) > 0


def test_the_check_tells_when_it_does_not_hold(generator):
    inputs = torch.randn(14, 6, generator=generator)
    step = CachedGradients(nn.Sequential(make_net(), nn.BatchNorm1d(4)), CRITERIA[0], 5)
    step.extractor[0][0].weight.grad = torch.full((32, 6), 7.0)
    found = step.check_equivalence(inputs, LABELS)
    assert found["loss"] > 1e-3
    assert found["extractor.0.0.weight"] > 1e-2
    assert (step.extractor[0][0].weight.grad == 7).all()
    assert step.extractor[0][3].weight.grad is None
    assert max(step.eval().check_equivalence(inputs, LABELS).values()) < 1e-5


@pytest.mark.parametrize(
    "miner", [AllTripletsMiner(max_output_triplets=40), TripletMinerWithMemory(2, 3)], ids=lambda m: type(m).__name__
)
def test_the_check_gives_a_criterion_with_memory_or_at_random_a_fair_comparison(generator, miner):
    step = CachedGradients(make_net(), TripletLossWithMiner(0.5, miner, reduction="sum"), 5)
    step(torch.randn(14, 6, generator=generator), LABELS)
    state = copy.deepcopy(step.state_dict())
    assert max(step.check_equivalence(torch.randn(14, 6, generator=generator), LABELS).values()) < 1e-4
    torch.testing.assert_close(step.state_dict(), state, rtol=0, atol=0)
    step.loss.reduction = "none"
    assert step.check_equivalence(torch.randn(14, 6, generator=generator), LABELS).keys() >= {"loss"}


def test_without_gradients_it_is_the_loss(generator):
    inputs = torch.randn(14, 6, generator=generator)
    net = make_net()
    with torch.no_grad():
        loss = CachedGradients(net, CRITERIA[0], 4)(inputs, LABELS)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, CRITERIA[0](net(inputs), LABELS).detach())


def test_errors():
    with pytest.raises(InvalidInputError, match="`chunk_size` must be at least 1, got 0"):
        CachedGradients(make_net(), CRITERIA[0], 0)
    with pytest.raises(InvalidInputError, match=r"`inputs` must be a tensor .*, got str"):
        CachedGradients(make_net(), CRITERIA[0], 2)(["a"], LABELS)

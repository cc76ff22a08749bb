import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from oml.errors import InvalidInputError
from oml.losses.cached_gradients import CachedGradients
from oml.losses.gather_across_devices import GatherAcrossDevices
from tests.losses.criteria import CRITERIA

SIZES = (6, 9, 3)  # items of each process
LABELS = torch.arange(18) // 3


def make_net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8)).double()


def make_inputs():
    return torch.randn(18, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def get_part(rank):
    return slice(sum(SIZES[:rank]), sum(SIZES[: rank + 1]))


def run_step(net, criterion, inputs, labels, is_labelled, is_cached=False):
    """Give the loss and the gradients of the net and of the criterion."""
    if is_cached:
        loss = CachedGradients(net, criterion, 2)(inputs, labels)
    else:
        features = net(inputs)
        loss = criterion(features, labels) if is_labelled else criterion(features, features.flip(1))
    loss.backward()
    parameters = [*net.parameters(), *criterion.parameters()]
    return loss.detach(), [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]


def train_on_rank(rank, world_size, path):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{path}/store", rank=rank, world_size=world_size)
    part, found = get_part(rank), {}
    for name, (make, is_labelled) in CRITERIA.items():
        for is_cached in (False, True) if is_labelled else (False,):
            net = DistributedDataParallel(make_net())
            criterion = GatherAcrossDevices(make().double())
            inputs, labels = make_inputs()[part], LABELS[part]
            found[name, is_cached] = run_step(net, criterion, inputs, labels, is_labelled, is_cached)
    messages = []
    for inputs in ((torch.zeros(2, 3 + rank), [0, 1]), (torch.zeros(2, 3), {"a"})):
        try:
            GatherAcrossDevices(nn.Identity())(*inputs)
        except InvalidInputError as error:
            messages.append(str(error))
    torch.save((found, messages), f"{path}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_equal_one_process(world_size, tmp_path):
    mp.spawn(train_on_rank, (world_size, str(tmp_path)), nprocs=world_size)
    n = sum(SIZES[:world_size])
    of_ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(world_size)]
    for name, (make, is_labelled) in CRITERIA.items():
        expected_loss, expected = run_step(make_net(), make().double(), make_inputs()[:n], LABELS[:n], is_labelled)
        assert expected[0].abs().max() > 0, name
        for found, _ in of_ranks:
            for is_cached in (False, True) if is_labelled else (False,):
                loss, gradients = found[name, is_cached]
                torch.testing.assert_close(loss, expected_loss, msg=name)
                for gradient, wanted in zip(gradients, expected, strict=True):
                    torch.testing.assert_close(gradient, wanted, rtol=1e-7, atol=1e-9, msg=name)
    for _, messages in of_ranks:
        assert "must gather rows of one shape and dtype, got rows of 3 numbers of 4 bytes, 4 numbers" in messages[0]
        assert "Only tensors and lists of integers can be gathered" in messages[1]


def test_without_processes_it_is_the_criterion():
    make, _ = CRITERIA["triplet_all"]
    features = make_net()(make_inputs())
    assert GatherAcrossDevices(make())(features, LABELS.tolist()) == make()(features, LABELS)
    assert GatherAcrossDevices(make()).criterion_name == "triplet"

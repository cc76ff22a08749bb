from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from hypothesis import given
from hypothesis import strategies as st

from oml.errors import InvalidInputError
from oml.metrics.accumulation import Accumulator


def make_rows(ids):
    """Values of all kinds that tell which item they belong to."""
    ids = list(ids)
    return {
        "tensor": torch.tensor(ids, dtype=torch.float32).reshape(-1, 1).repeat(1, 2),
        "array": np.array(ids, dtype=np.int64),
        "list": [f"item {i}" for i in ids],
        "other": object(),
    }


def fill(batches, num_samples=None, with_indices=True):
    acc = Accumulator(("tensor", "array", "list"))
    acc.refresh(sum(map(len, batches)) if num_samples is None else num_samples)
    for ids in batches:
        acc.update_data(make_rows(ids), indices=ids if with_indices else None)
    return acc


def assert_holds(acc, ids):
    expected = make_rows(ids)
    assert torch.equal(acc.storage["tensor"], expected["tensor"])
    assert acc.storage["array"].tolist() == expected["array"].tolist()
    assert acc.storage["list"] == expected["list"]
    assert acc.is_storage_full()
    assert acc.num_samples == acc.collected_samples == len(ids)


@given(st.lists(st.lists(st.integers(0, 9), min_size=1), min_size=1))
def test_each_index_once_and_in_order(batches):
    acc = fill(batches)
    everything = [i for ids in batches for i in ids]
    assert_holds(acc, everything)
    synced = acc.sync()
    assert_holds(synced, sorted(set(everything)))
    assert synced.storage[synced._indices_key] == sorted(set(everything))


def test_without_indices_the_order_stays():
    acc = fill([[2, 0], [], [2]], with_indices=False)
    assert_holds(acc, [2, 0, 2])
    assert acc.sync() is acc
    assert set(acc.storage) == {"tensor", "array", "list"}


def test_indices_of_any_kind():
    for indices in (torch.tensor([1, 0]), np.array([1, 0]), (1, 0)):
        acc = Accumulator(("x",))
        acc.refresh(2)
        acc.update_data({"x": torch.tensor([5.0, 6.0])}, indices=indices)
        assert acc.sync().storage["x"].tolist() == [6, 5]


def test_refresh_forgets():
    acc = fill([[2, 0], [1]])
    acc.refresh(1)
    assert (acc.storage, acc.collected_samples, acc.is_storage_full()) == ({}, 0, False)
    acc.update_data(make_rows([7]))  # without indices this time
    assert_holds(acc, [7])


def test_keeps_no_graph_and_no_reference_to_the_batch():
    acc = Accumulator(("x",))
    acc.refresh(2)
    x = torch.ones(2, 1, requires_grad=True)
    acc.update_data({"x": x})
    with torch.no_grad():
        x.zero_()
    assert acc.storage["x"].tolist() == [[1], [1]]
    assert not acc.storage["x"].requires_grad


def test_index_key_is_pinned():
    assert Accumulator(())._indices_key == "__element_indices"


def test_repeated_keys():
    with pytest.raises(AssertionError, match="must all be different, but these occur twice: a"):
        Accumulator(("a", "b", "a"))


@pytest.mark.parametrize("n", [0, -1, 1.5, True, None])
def test_bad_number_of_samples(n):
    with pytest.raises(InvalidInputError, match="`num_samples` must be a positive integer"):
        Accumulator(()).refresh(n)


def test_update_before_refresh():
    with pytest.raises(ValueError, match="call `refresh` first"):
        Accumulator(("x",)).update_data({"x": [1]})


def test_sync_when_not_full():
    with pytest.raises(ValueError, match="Only full storages can be synchronised: 2 of 3 items have come"):
        fill([[0, 1]], num_samples=3).sync()


def test_more_than_announced_leaves_what_was_there():
    acc = fill([[0, 1]], num_samples=3)
    with pytest.raises(ValueError, match=r"3 items were announced, but 4 have come\. Call `refresh`"):
        acc.update_data(make_rows([2, 3]), indices=[2, 3])
    acc.update_data(make_rows([2]), indices=[2])
    assert_holds(acc, [0, 1, 2])


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"x": (1, 2)}, TypeError, "value of 'x' must be a tensor, an array or a list .* got tuple"),
        ({"x": torch.tensor(1.0)}, TypeError, "got one of no dimensions"),
        ({"x": [[1, 1], [1, 1]]}, TypeError, "was of the type Tensor in the first batch, and is of the type list now"),
        ({"x": torch.ones(2, 3)}, ValueError, r"had the shape \(2,\) in the first batch, and have \(3,\) now"),
        ({"y": [1, 2]}, AssertionError, "The batch has no 'x'; its keys are: y"),
        ({"x": torch.ones(3, 2)}, AssertionError, r"must have one length, got 3 \(x\), 2 \(element_indices\)"),
    ],
)
def test_bad_batches(values, error, message):
    acc = Accumulator(("x",))
    acc.refresh(10)
    acc.update_data({"x": torch.ones(1, 2)}, indices=[0])
    with pytest.raises(error, match=message):
        acc.update_data(values, indices=[1, 2])
    assert acc.collected_samples == 1


def test_indices_for_some_batches_only():
    acc = fill([[0, 1]], num_samples=4)
    with pytest.raises(AssertionError, match="must be given with every batch"):
        acc.update_data(make_rows([2]))
    acc = fill([[0, 1]], num_samples=4, with_indices=False)
    with pytest.raises(RuntimeError, match="cannot be given now"):
        acc.update_data(make_rows([2]), indices=[2])


def _run_in_group(rank, world_size, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=world_size)
    try:
        own = [[4, 0], [3]] if rank == 0 else [[1, 3], [2]]
        assert_holds(fill(own).sync(), [0, 1, 2, 3, 4])
        assert_holds(fill(own, with_indices=False).sync(), [4, 0, 3, 1, 3, 2])
        Path(folder, f"done_{rank}").touch()
    finally:
        dist.destroy_process_group()


@pytest.mark.slow
def test_group_of_processes(tmp_path):
    mp.spawn(_run_in_group, args=(2, str(tmp_path)), nprocs=2)
    assert len(list(tmp_path.glob("done_*"))) == 2

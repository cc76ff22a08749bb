from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from oml.ddp.utils import (
    WarningDDP,
    fill_from_all,
    get_share,
    get_world_size_safe,
    is_ddp,
    is_main_process,
    merge_list_of_dicts,
    sync_dicts_ddp,
)

# How groups of processes share and fill is tested with inference, in tests/inference.


def test_single_process() -> None:
    assert not is_ddp()
    assert get_world_size_safe() == 0
    assert is_main_process()


def test_single_process_has_everything() -> None:
    assert list(get_share(3)) == [0, 1, 2]
    assert list(get_share(0)) == []
    rows = torch.ones(3, 2)
    assert fill_from_all(rows, 3) is rows
    assert fill_from_all(None, 0) is None


def make_values(ids: list[int]) -> dict[str, object]:
    return {
        "list": list(ids),
        "tuple": tuple(ids),
        "tensor": torch.tensor(ids).reshape(-1, 1),
        "array": np.array(ids, dtype=np.int64),
    }


def assert_same(found: dict[str, object], ids: list[int]) -> None:
    expected = make_values(ids)
    assert list(found) == list(expected)
    for key, value in expected.items():
        assert type(found[key]) is type(value)
        assert np.array_equal(np.asarray(found[key]), np.asarray(value))


@pytest.mark.parametrize("parts", [[[1, 2]], [[1], [], [2, 3]], [[], []]])
def test_merged_one_after_another(parts: list[list[int]]) -> None:
    assert_same(merge_list_of_dicts([make_values(ids) for ids in parts]), [i for ids in parts for i in ids])


def test_merged_where_asked_for() -> None:
    assert merge_list_of_dicts([{"x": torch.ones(1)}, {"x": torch.ones(2)}], device="meta")["x"].device.type == "meta"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "at least one dictionary"),
        ([{"a": [1]}, {"b": [1]}], "that at position 1 has b, and the first one has a"),
        ([{"a": [1]}, {"a": (1,)}], "values of 'a' must be of one type to be joined, got list, tuple"),
        ([{"a": 1}, {"a": 2}], "values of 'a' must be lists, tuples, tensors or arrays to be joined, got int"),
    ],
)
def test_what_cannot_be_merged(parts: list[dict[str, object]], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        merge_list_of_dicts(parts)


def test_without_a_group_nothing_is_synchronised() -> None:
    values = make_values([1])
    assert sync_dicts_ddp(values, world_size=1) is values
    with pytest.warns(WarningDDP, match="`sync_dicts_ddp` was called for several processes"):
        assert sync_dicts_ddp(values, world_size=2) is values


def _run_in_group(rank: int, world_size: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=world_size)
    try:
        own = [[5, 6], []][rank]
        assert_same(dict(sync_dicts_ddp(make_values(own), world_size)), [5, 6])
        with pytest.raises(AssertionError, match="number of processes in the group, 2, got 3"):
            sync_dicts_ddp(make_values(own), 3)
        Path(folder, f"done_{rank}").touch()
    finally:
        dist.destroy_process_group()


@pytest.mark.slow
def test_group_of_processes(tmp_path: Path) -> None:
    mp.spawn(_run_in_group, args=(2, str(tmp_path)), nprocs=2)
    assert len(list(tmp_path.glob("done_*"))) == 2

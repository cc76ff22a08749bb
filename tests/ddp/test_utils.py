import torch

from oml.ddp.utils import fill_from_all, get_share, get_world_size_safe, is_ddp, is_main_process

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

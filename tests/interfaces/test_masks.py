import pytest
import torch

from oml.interfaces import masks


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (1, 1), (7, 5), (4, 90)])
@pytest.mark.parametrize("block", [1, 10, 2**20])
def test_rows_are_counted_one_by_one(generator, monkeypatch, shape: tuple[int, int], block: int) -> None:
    monkeypatch.setattr(masks, "CPU_BLOCK", block)
    mask = torch.rand(shape, generator=generator) < 0.5
    found = masks.count_in_rows(mask)
    assert found.dtype == torch.int64
    assert found.tolist() == [sum(row) for row in mask.tolist()]

import dataclasses
import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from oml.errors import InvalidInputError
from oml.models import checkpoint_files
from oml.models.checkpoints import read_state_dict
from oml.models.zoo import ZOO
from oml.utils.io import calc_hash


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.script(nn.Linear(2, 3)).save(tmp_path / "clip.pt")
    return tmp_path / "clip.pt"


def test_an_unknown_torchscript_archive_is_not_opened(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> dict[str, Tensor]:
        raise AssertionError(f"{path} was opened")

    monkeypatch.setattr(checkpoint_files, "read_torchscript", refuse)
    with pytest.raises(
        InvalidInputError,
        match=r"clip\.pt is a TorchScript archive, which may run code when opened, and none of the zoo's by its hash",
    ):
        read_state_dict(archive)


def test_a_torchscript_archive_of_the_zoo_is_read(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = dataclasses.replace(ZOO["openai_vitb32_224"], hash=calc_hash(archive))
    monkeypatch.setitem(ZOO, "openai_vitb32_224", record)
    state_dict = read_state_dict(archive)
    assert {name: list(tensor.shape) for name, tensor in state_dict.items()} == {"weight": [3, 2], "bias": [3]}


def test_safetensors_in_several_openings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import save_file

    monkeypatch.setattr(checkpoint_files, "_SIZE_AT_ONCE", 20)
    weights = {f"w{i}": torch.rand(i + 1) for i in range(12)} | {"empty": torch.zeros(0, 3)}
    save_file(weights, tmp_path / "x.safetensors")
    found = read_state_dict(tmp_path / "x.safetensors")
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in weights.items())


def test_a_zip_with_a_broken_list_of_its_files(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"a": torch.ones(2)}, path)
    content = path.read_bytes()
    start = content.rindex(b"PK\x01\x02")
    path.write_bytes(content[:start] + b"XX" + content[start + 2 :])
    with pytest.raises(InvalidInputError, match="is not a whole PyTorch checkpoint"):
        read_state_dict(path)

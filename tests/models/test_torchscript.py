import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from oml.errors import InvalidInputError
from oml.models.torchscript import is_torchscript, read_torchscript
from oml.models.utils import patch_device, patch_device_and_float


class Inner(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        # 5 is an index here, as well as the number of float16
        return x.to(torch.device("cuda:0"), torch.float16) + x[5].half()


class Compiled(nn.Module):
    """As OpenAI's files: float16 weights and casts, and devices, compiled in; sizes among the buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()
        self.linear = nn.Linear(2, 3)
        self.register_buffer("input_resolution", torch.tensor(224))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.inner(x)).to(torch.float16)

    @torch.jit.export
    def encode(self, x: Tensor) -> Tensor:
        return x.half().to(torch.device("cuda"))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "clip.pt"
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Compiled().half()).save(path)
    return path


@pytest.fixture
def module(archive: Path) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.load(archive, map_location="cpu")


def test_weights_of_an_archive(archive: Path, tmp_path: Path) -> None:
    state_dict = read_torchscript(archive)
    assert {name: tuple(tensor.shape) for name, tensor in state_dict.items()} == {
        "linear.weight": (3, 2),
        "linear.bias": (3,),
        "input_resolution": (),
    }
    assert state_dict["linear.weight"].dtype == torch.float16
    torch.save(state_dict, tmp_path / "plain.pt")
    (tmp_path / "text.pt").write_text("text")
    assert is_torchscript(archive)
    assert not is_torchscript(tmp_path / "plain.pt")
    assert not is_torchscript(tmp_path / "text.pt")


@pytest.mark.parametrize("n_bytes", [0, 100, -100])
def test_what_is_no_archive(n_bytes: int, archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:n_bytes])
    with pytest.raises(InvalidInputError, match=r"clip\.pt \(\d+ bytes\) is not a whole TorchScript archive.*hash"):
        read_torchscript(archive)


def test_a_module_for_cuda_runs_on_a_processor(module: torch.jit.ScriptModule) -> None:
    x = torch.randn(6, 2)
    patch_device_and_float(module, device="cpu")
    expected = nn.functional.linear(x + x[5], module.linear.weight, module.linear.bias)
    torch.testing.assert_close(module(x), expected)
    assert module(x).dtype == module.linear.weight.dtype == torch.float32
    assert torch.equal(module.encode(x), x)


def test_a_device_that_is_no_processor_keeps_types(module: torch.jit.ScriptModule) -> None:
    patch_device_and_float(module, device="meta")
    encoded = module.encode(torch.randn(6, 2))
    assert (encoded.device.type, encoded.dtype) == ("meta", torch.float16)
    assert module.linear.weight.dtype == torch.float16


def test_only_cuda_is_replaced(module: torch.jit.ScriptModule) -> None:
    patch_device_and_float(module, device="cpu")
    graph = torch._C.Graph()
    patch_device(module, graph.create("prim::Constant").s_("value", "meta"))
    assert module.encode(torch.randn(6, 2)).device.type == "cpu"

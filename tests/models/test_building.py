from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.serialization import config

from oml.models import ResnetExtractor, TimmExtractor, ViTExtractor
from oml.models.building import build_network, take_tensors
from oml.models.checkpoints import fill


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.scale = nn.Parameter(torch.ones(2), requires_grad=False)
        nn.init.trunc_normal_(tensor=self.linear.weight)
        self.register_buffer("kept", torch.zeros(2).fill_(5))
        self.register_buffer("frequencies", torch.arange(3.0).mul_(2), persistent=False)


@pytest.fixture
def network() -> nn.Module:
    return build_network(Net, is_filled_later=True)


def make_weights() -> dict[str, Tensor]:
    return {
        "linear.weight": torch.rand(4, 3),
        "linear.bias": torch.rand(4),
        "scale": torch.rand(2),
        "kept": torch.rand(2),
    }


def test_nothing_is_drawn_but_buffers_are_right() -> None:
    before = torch.get_rng_state()
    network = build_network(Net, is_filled_later=True)
    assert torch.equal(torch.get_rng_state(), before)
    assert network.frequencies.tolist() == [0, 2, 4]
    assert network.kept.tolist() == [5, 5]
    assert [n for n, p in network.named_parameters() if p.requires_grad] == ["linear.weight", "linear.bias"]
    build_network(Net, is_filled_later=False)
    assert not torch.equal(torch.get_rng_state(), before)


def test_weights_are_taken_without_a_copy(network: nn.Module) -> None:
    weights = make_weights()
    take_tensors(network, weights)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, weights[name])
        assert tensor.data_ptr() == weights[name].data_ptr()
    assert network.linear.weight.requires_grad
    assert network.linear.weight.is_leaf
    assert not network.scale.requires_grad


def test_dtype_and_layout_are_the_network_s() -> None:
    network = nn.Conv2d(3, 4, 2).to(memory_format=torch.channels_last)
    weights = {name: torch.rand(t.shape).half() for name, t in network.state_dict().items()}
    take_tensors(network, weights)
    assert network.weight.dtype == torch.float32
    assert network.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(network.weight, weights["weight"].float())


def test_shared_memory_is_not_taken_over() -> None:
    network = nn.ModuleList([nn.Linear(2, 2, bias=False) for _ in range(3)])
    same, large = torch.rand(2, 2), torch.rand(100, 2)
    take_tensors(network, {"0.weight": same, "1.weight": same, "2.weight": large[:2]})
    with torch.no_grad():
        network[0].weight.zero_()
    assert torch.equal(network[1].weight, same if same.any() else network[1].weight)
    assert network[1].weight.any()
    assert network[2].weight.untyped_storage().nbytes() == 16


def test_tied_weights_stay_tied() -> None:
    network = nn.ModuleList([nn.Linear(2, 2, bias=False) for _ in range(2)])
    network[1].weight = network[0].weight
    weights = torch.rand(2, 2)
    take_tensors(network, {"0.weight": weights, "1.weight": weights.clone()})
    assert network[1].weight is network[0].weight
    assert torch.equal(network[0].weight, weights)


def make_extractors() -> list[tuple[type, dict[str, Any]]]:
    return [
        (ViTExtractor, {"arch": "vits16"}),
        (ResnetExtractor, {"arch": "resnet18", "gem_p": 3.0}),
        (TimmExtractor, {"name": "test_vit", "projection": 5}),
    ]


@pytest.mark.parametrize(("extractor", "arguments"), make_extractors())
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_and_its_network_are_independent(
    extractor: type, arguments: dict[str, Any], suffix: str, tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    path = tmp_path / f"weights{suffix}"
    saved = extractor(**arguments).state_dict()
    save_file(saved, path) if suffix == ".safetensors" else torch.save({"state_dict": saved}, path)
    content = path.read_bytes()
    loaded = extractor(weights=path, **arguments)
    assert all(torch.equal(tensor, saved[name]) for name, tensor in loaded.state_dict().items())
    assert all(p.requires_grad and p.is_leaf and p.dtype == torch.float32 for p in loaded.parameters())

    with torch.no_grad():
        for parameter in list(loaded.parameters())[::2]:
            parameter.add_(1)
    assert path.read_bytes() == content
    trained = {name: tensor.clone() for name, tensor in loaded.state_dict().items()}
    path.write_bytes(bytes(len(content)))  # in place, as torch.save writes
    assert all(torch.equal(tensor, trained[name]) for name, tensor in loaded.state_dict().items())


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_file_is_mapped_where_torch_was_told_to(is_zip: bool, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    saved = ResnetExtractor(None, "resnet18", gem_p=None, remove_fc=True, normalise_features=False).state_dict()
    torch.save(saved, path, _use_new_zipfile_serialization=is_zip)
    content = path.read_bytes()
    with config.patch({"load.mmap": True}):
        loaded = ResnetExtractor(path, "resnet18", gem_p=None, remove_fc=True, normalise_features=False)
    assert all(torch.equal(tensor, saved[name]) for name, tensor in loaded.state_dict().items())
    maps = Path("/proc/self/maps")
    assert not maps.exists() or (str(path) in maps.read_text()) == is_zip

    with torch.no_grad():
        for parameter in loaded.parameters():
            parameter.add_(1)
    assert path.read_bytes() == content  # what is trained is the process's own


def test_counters_that_a_file_lacks_are_zero() -> None:
    network = build_network(lambda: nn.BatchNorm1d(2), is_filled_later=True)
    state = {n: torch.rand(2) for n in ("weight", "bias", "running_mean", "running_var")}
    fill(network, state, Path("old.pth"))
    assert network.num_batches_tracked == 0

import os
import pickle
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from oml.errors import InvalidInputError
from oml.models.checkpoints import describe_difference, fill, find_weights, load_weights, read_state_dict
from oml.utils import io
from oml.utils.download import DownloadError
from oml.utils.io import calc_hash
from tests.utils.file_server import serve


class Owner(nn.Module):
    pretrained_models = {"small_net": {}}  # noqa: RUF012


@pytest.fixture
def weights() -> dict[str, Tensor]:
    return {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2)}


def make_linear(n_in: int = 3) -> nn.Module:
    return nn.Linear(n_in, 2)


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def test_path_is_found(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.touch()
    assert find_weights(str(path), Owner) == path
    assert find_weights(path, Owner) == path


def test_neither_key_nor_path() -> None:
    with pytest.raises(
        FileNotFoundError, match=r"'small_nte' is neither a key of Owner\.pretrained_models nor"
    ) as error:
        find_weights("small_nte", Owner)
    assert "Did you mean 'small_net'?" in str(error.value)
    assert "None for random weights" in str(error.value)


def test_folder_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"is a folder without weights\.safetensors, so it is no bundle; give"):
        find_weights(tmp_path, Owner)


def test_folder_of_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").touch()
    assert find_weights(str(tmp_path), Owner) == tmp_path / "weights.safetensors"


def test_key_is_downloaded(
    weights: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(io, "CKPT_SAVE_ROOT", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    Path("net").touch()  # a key comes before a file of the same name
    torch.save(weights, tmp_path / "published.pth")
    with serve() as server:
        url = server.add("net.pth", (tmp_path / "published.pth").read_bytes())
        entry = {"url": [url], "hash": calc_hash(tmp_path / "published.pth")[:6], "fname": "net.ckpt", "init_args": {}}
        owner = type("Net", (nn.Module,), {"pretrained_models": {"net": entry}})
        path = find_weights("net", owner)
    assert path == tmp_path / "cache" / "net.ckpt"
    assert same(read_state_dict(path), weights)
    assert find_weights("net", owner) == path  # no server any more
    path.write_bytes(b"damaged")
    with pytest.raises(DownloadError, match=rf"net\.ckpt could not be downloaded.*put it at {path}"):
        find_weights("net", owner)


@pytest.mark.parametrize("entry", [None, "state_dict", "model"])
@pytest.mark.parametrize("is_archive", [True, False])
def test_state_dict_is_read(entry: str | None, is_archive: bool, weights: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    content = weights if entry is None else {entry: weights, "epoch": 3}
    torch.save(content, path, _use_new_zipfile_serialization=is_archive)
    assert same(read_state_dict(path), weights)


def test_safetensors_are_read(weights: dict[str, Tensor], tmp_path: Path) -> None:
    save_file(weights, tmp_path / "weights.safetensors")
    assert same(read_state_dict(tmp_path / "weights.safetensors"), weights)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("is_archive", [True, False])
@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_truncated_file(suffix: str, is_archive: bool, part: float, weights: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(weights, path, _use_new_zipfile_serialization=is_archive)
    else:
        save_file(weights, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(InvalidInputError, match="is not a whole"):
        read_state_dict(path)


@pytest.mark.parametrize(
    "content",
    [b"not a checkpoint", b"\x89PNG\r\n\x1a\n" + bytes(64), b"PK\x03\x04" + bytes(64), b"<html></html>", b"\x80\x02"],
)
def test_foreign_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=rf"{len(content)} bytes\) is not a whole PyTorch checkpoint"):
        read_state_dict(path)


class Malicious:
    def __reduce__(self) -> tuple:
        return os.mkdir, (os.environ["OML_TEST_PROOF"],)


@pytest.mark.parametrize("as_pickle", [True, False])
def test_no_code_is_run(as_pickle: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proof = tmp_path / "proof"
    monkeypatch.setenv("OML_TEST_PROOF", str(proof))
    path = tmp_path / "weights.pth"
    if as_pickle:
        path.write_bytes(pickle.dumps({"state_dict": Malicious()}, protocol=2))
    else:
        torch.save({"state_dict": Malicious()}, path)
    with pytest.raises(InvalidInputError, match=r"holds Python objects|is not a whole PyTorch checkpoint"):
        read_state_dict(path)
    assert not proof.exists()


def test_objects_are_named_as_the_reason(tmp_path: Path) -> None:
    torch.save(nn.Linear(1, 1), tmp_path / "module.pth")
    with pytest.raises(InvalidInputError, match=r"holds Python objects beside tensors\. Reading them may run code"):
        read_state_dict(tmp_path / "module.pth")


@pytest.mark.parametrize(("content", "found"), [({}, "dict"), ([1, 2], "list"), (torch.zeros(2), "Tensor")])
def test_no_state_dict_inside(content: object, found: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(InvalidInputError, match=f"holds {found} instead of a non-empty dictionary of tensors"):
        read_state_dict(tmp_path / "other.pth")


def test_values_must_be_tensors(weights: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({**weights, "epoch": 3}, tmp_path / "other.pth")
    with pytest.raises(InvalidInputError, match="values that are not tensors under the names: epoch"):
        read_state_dict(tmp_path / "other.pth")


@pytest.mark.parametrize("path_in_file", [["model_state_dict"], ["model", "state_dict"], ["net"]])
def test_the_only_dictionary_of_tensors_is_found(path_in_file: list[str], weights: dict, tmp_path: Path) -> None:
    content: dict = weights
    for name in reversed(path_in_file):
        content = {"epoch": 3, "optimizer": {"state": {}, "lr": 0.1}, name: content}
    torch.save(content, tmp_path / "other.pth")
    assert same(read_state_dict(tmp_path / "other.pth"), weights)


def test_several_dictionaries_of_tensors(weights: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({"student": weights, "teacher": weights, "epoch": 3}, tmp_path / "dino.pth")
    with pytest.raises(
        InvalidInputError,
        match=r"holds several dictionaries of tensors: student, teacher\. .*torch\.load\(path\)\['student'\]",
    ):
        read_state_dict(tmp_path / "dino.pth")


def test_tensors_without_numbers(weights: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({name: tensor.to("meta") for name, tensor in weights.items()}, tmp_path / "meta.pth")
    with pytest.raises(InvalidInputError, match=r"tensors without numbers, on the device 'meta': weight, bias\. Save"):
        read_state_dict(tmp_path / "meta.pth")


def test_numbers_of_another_type(weights: dict[str, Tensor]) -> None:
    network = make_linear()
    before = network.weight.clone()
    with pytest.raises(
        InvalidInputError,
        match=r"Other type: weight is torch\.int8 in the file, torch\.float32 in the model\.",
    ):
        fill(network, {**weights, "weight": weights["weight"].to(torch.int8)}, Path("int8.pth"))
    assert torch.equal(network.weight, before)
    fill(network, {name: tensor.half() for name, tensor in weights.items()}, Path("half.pth"))
    assert torch.equal(network.weight, weights["weight"])


def test_difference_shows_the_first_names() -> None:
    network = nn.Sequential(*[nn.Linear(1, 1) for _ in range(4)])
    state_dict = {"0.weight": torch.zeros(2, 1), "extra": torch.zeros(1)}
    text = describe_difference(state_dict, network)
    assert "Missing: 0.bias, 1.weight, 1.bias, 2.weight, 2.bias (and 2 more)." in text
    assert "Unexpected: extra." in text
    assert "Other shape: 0.weight is [2, 1] in the file, [1, 1] in the model." in text
    assert describe_difference(network.state_dict(), network) == ""


def test_counters_of_batch_norm_are_optional() -> None:
    network = nn.BatchNorm1d(2)
    old = {n: t + 1 for n, t in network.state_dict().items() if n != "num_batches_tracked"}
    fill(network, old, Path("old.pth"))
    assert network.running_mean.tolist() == [1, 1]


def test_misfit_changes_nothing_and_names_the_architecture(weights: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({f"model.{n}": t for n, t in weights.items()}, tmp_path / "weights.pth")
    network = make_linear(4)
    before = network.weight.clone()
    constructors = {"three": make_linear, "four": partial(make_linear, 4)}
    with pytest.raises(InvalidInputError, match=r"does not fit the model\. Other shape: weight") as error:
        load_weights(network, tmp_path / "weights.pth", "weight", constructors=constructors)
    assert str(error.value).endswith("It fits arch='three'.")
    assert torch.equal(network.weight, before)
    with pytest.raises(InvalidInputError, match="It fits no known architecture of this extractor"):
        load_weights(network, tmp_path / "weights.pth", "weight", constructors={"four": partial(make_linear, 4)})


def test_prefix_error_names_the_file(weights: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(weights, tmp_path / "weights.pth")
    with pytest.raises(
        InvalidInputError, match=r"Cannot load .*weights\.pth\. No name of the state dict contains 'fc\.'"
    ):
        load_weights(make_linear(), tmp_path / "weights.pth", "fc.")


def test_select_then_convert(weights: dict[str, Tensor], tmp_path: Path) -> None:
    content = {f"a.{n}": t for n, t in weights.items()} | {"b.weight": torch.zeros(1)}
    torch.save({"state_dict": content}, tmp_path / "weights.pth")
    network = make_linear()
    load_weights(
        network,
        tmp_path / "weights.pth",
        "weight",
        convert=lambda state: {n: 2 * t for n, t in state.items()},
        select=lambda state: {n: t for n, t in state.items() if n.startswith("a.")},
    )
    assert torch.equal(network.weight, 2 * weights["weight"])

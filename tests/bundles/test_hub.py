import socket
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

import oml
from oml.errors import InvalidInputError
from tests.bundles.fake_hub import COMMIT, run_fake_hub


@pytest.fixture
def hub(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    with run_fake_hub() as server:
        yield server


def get_address(server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def test_a_bundle_goes_to_the_hub_and_comes_back(hub, folder, monkeypatch):
    address = get_address(hub)
    (folder / "secret.txt").write_text("not part of a bundle")
    url = oml.push_bundle(folder, "shop/shoes", endpoint=address, token="hf_test")
    assert url == f"{address}/shop/shoes/commit/{COMMIT}"
    assert set(hub.repos["shop/shoes"]) == {"weights.safetensors", "bundle.json", "README.md"}

    pulled = oml.pull_bundle("shop/shoes", endpoint=address)
    assert (pulled / "bundle.json").read_bytes() == (folder / "bundle.json").read_bytes()
    found, expected = oml.load_bundle(pulled), oml.load_bundle(folder)
    assert found.card == expected.card
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(found.extractor(x), expected.extractor(x))

    n_downloads = len(hub.downloads)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    assert oml.load_bundle("hf://shop/shoes").card == expected.card
    assert len(hub.downloads) == n_downloads  # what is in the cache is not fetched again


def test_a_damaged_download_is_noticed(hub, folder):
    oml.push_bundle(folder, "shop/shoes", endpoint=get_address(hub), token="hf_test")
    hub.repos["shop/shoes"]["weights.safetensors"] = hub.repos["shop/shoes"]["weights.safetensors"][:-5]
    with pytest.raises(InvalidInputError, match="is cut off, or of another bundle"):
        oml.load_bundle(oml.pull_bundle("shop/shoes", endpoint=get_address(hub)))


def test_an_unknown_repository(hub):
    with pytest.raises(OSError, match=r"(?s)shop/boots could not be downloaded: .*Check its name and the"):
        oml.pull_bundle("shop/boots", endpoint=get_address(hub))


def test_no_network(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(OSError, match=r"(?s)could not be uploaded to shop/shoes: .*Check the network, log in"):
        oml.push_bundle(folder, "shop/shoes", endpoint=address, token="hf_test")
    with pytest.raises(OSError, match=r"(?s)bundle shop/shoes could not be downloaded"):
        oml.pull_bundle("shop/shoes", endpoint=address)


@pytest.mark.parametrize("repo_id", ["shoes", "a/b/c", "/shoes"])
def test_wrong_names(repo_id, folder):
    with pytest.raises(InvalidInputError, match=r"repo_id must be 'owner/name', got .*For example 'shop/shoes-vits16'"):
        oml.push_bundle(folder, repo_id)


def test_only_bundles_are_uploaded(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is no bundle: it has no bundle\.json"):
        oml.push_bundle(Path(tmp_path), "shop/shoes")

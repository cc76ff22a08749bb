from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from oml.errors import InvalidInputError
from oml.models import ResnetExtractor
from oml.models.resnet.extractor import load_moco_weights
from oml.models.resnet.pooling import GEM


@pytest.mark.parametrize("gem_p", [None, 3.0])
@pytest.mark.parametrize("remove_fc", [True, False])
@pytest.mark.parametrize("n_images", [0, 1, 2])
def test_output(gem_p: float | None, remove_fc: bool, n_images: int) -> None:
    extractor = ResnetExtractor(None, "resnet18", gem_p, remove_fc, True).eval()
    embeddings = extractor.extract(torch.randn(n_images, 3, 33, 40))
    assert embeddings.shape == (n_images, extractor.feat_dim) == (n_images, 512 if remove_fc else 1000)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(n_images))


@pytest.mark.parametrize(
    ("arch", "n_channels", "n_outputs"),
    [("resnet34", 512, 1000), ("resnet50", 2048, 1000), ("resnet152", 2048, 1000), ("resnet50_projector", 2048, 128)],
)
def test_feat_dim(arch: str, n_channels: int, n_outputs: int) -> None:
    with torch.device("meta"):
        assert ResnetExtractor(None, arch, remove_fc=True).feat_dim == n_channels
        assert ResnetExtractor(None, arch, remove_fc=False).feat_dim == n_outputs
        assert ResnetExtractor(None, arch, remove_fc=False).get_last_conv_channels() == n_channels


def test_arguments_are_kept() -> None:
    extractor = ResnetExtractor(None, "resnet18", 5.0, False, True)
    kept = (extractor.arch, extractor.gem_p, extractor.remove_fc, extractor.normalise_features)
    assert kept == ("resnet18", 5.0, False, True)


@pytest.mark.parametrize("remove_fc", [True, False])
def test_reload_gives_identical_outputs(remove_fc: bool, tmp_path: Path) -> None:
    extractor = ResnetExtractor(None, "resnet18", gem_p=3.0, remove_fc=remove_fc).eval()
    torch.save({"state_dict": extractor.state_dict()}, tmp_path / "own.ckpt")
    other = ResnetExtractor(tmp_path / "own.ckpt", "resnet18", gem_p=3.0, remove_fc=remove_fc).eval()
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(extractor(images), other(images))


def test_moco_checkpoint(tmp_path: Path) -> None:
    query = ResnetExtractor(None, "resnet50_projector", remove_fc=False).eval()
    key = ResnetExtractor(None, "resnet50_projector", remove_fc=False)
    state = {f"module.encoder_q.{n}": t for n, t in query.model.state_dict().items()}
    state |= {f"module.encoder_k.{n}": t for n, t in key.model.state_dict().items()}
    state |= {"module.queue": torch.zeros(128, 4), "module.queue_ptr": torch.zeros(1, dtype=torch.long)}
    path = tmp_path / "moco.pth.tar"
    torch.save({"epoch": 800, "arch": "resnet50", "state_dict": state, "optimizer": {"lr": 0.1}}, path)
    assert load_moco_weights(path).keys() == query.model.state_dict().keys()
    images = torch.randn(1, 3, 32, 32)
    assert torch.equal(ResnetExtractor(path, "resnet50_projector", remove_fc=False).eval()(images), query(images))
    without_fc = ResnetExtractor(path, "resnet50_projector", gem_p=5.0, remove_fc=True)
    assert torch.equal(without_fc.model.conv1.weight, query.model.conv1.weight)


def test_checkpoint_without_fc_cannot_give_fc(tmp_path: Path) -> None:
    torch.save(ResnetExtractor(None, "resnet18", remove_fc=True).state_dict(), tmp_path / "own.pth")
    with pytest.raises(InvalidInputError, match=r"does not fit the model\. Missing: fc\.weight, fc\.bias\."):
        ResnetExtractor(tmp_path / "own.pth", "resnet18", remove_fc=False)


def test_checkpoint_of_another_arch(tmp_path: Path) -> None:
    torch.save(ResnetExtractor(None, "resnet18").state_dict(), tmp_path / "own.pth")
    with pytest.raises(InvalidInputError, match=r"Missing: layer1.*It fits arch='resnet18'\."):
        ResnetExtractor(tmp_path / "own.pth", "resnet34")


def test_foreign_checkpoint(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(InvalidInputError, match=r"No name of the state dict contains 'layer4\.'.*Its names: weight"):
        ResnetExtractor(tmp_path / "other.pth", "resnet18")


def test_unknown_arch() -> None:
    with pytest.raises(AssertionError, match=r"Unknown arch of ResnetExtractor 'resnet19'\. Did you mean 'resnet18'"):
        ResnetExtractor(None, "resnet19")


def test_greyscale_images() -> None:
    with pytest.raises(InvalidInputError, match=r"3 channel\(s\), got the shape \[2, 1, 32, 32\].*convert\('RGB'\)"):
        ResnetExtractor(None, "resnet18")(torch.zeros(2, 1, 32, 32))


@given(
    x=st.lists(st.floats(0, 10, width=32), min_size=1, max_size=6),
    p=st.sampled_from([0.5, 1.0, 2.0, 3.0, 7.0]),
)
def test_gem_is_the_formula(x: list[float], p: float) -> None:
    values = torch.tensor(x).reshape(1, 1, 1, -1)
    plain = (sum(max(v, 1e-6) ** p for v in x) / len(x)) ** (1 / p)
    assert GEM(p)(values).item() == pytest.approx(plain, rel=1e-4)


def test_gem_of_one_is_the_average_and_of_many_the_maximum() -> None:
    x = torch.rand(2, 3, 4, 5)
    torch.testing.assert_close(GEM(1)(x), x.mean(dim=(-2, -1), keepdim=True))
    torch.testing.assert_close(GEM(500)(x), x.amax(dim=(-2, -1), keepdim=True), rtol=1e-2, atol=0)


@pytest.mark.parametrize("p", [1.0, 3.0, 50.0])
def test_gem_gradient(p: float) -> None:
    x = (torch.rand(2, 2, 3, 3, dtype=torch.float64) + 0.5).requires_grad_()
    assert torch.autograd.gradcheck(GEM(p), (x,))
    dead = torch.zeros(1, 1, 2, 2, requires_grad=True)
    GEM(p)(dead).sum().backward()
    assert torch.isfinite(dead.grad).all()


@pytest.mark.parametrize("p", [3.0, 50.0])
def test_gem_of_small_values(p: float) -> None:
    # 0.01 to the power 50 is zero in float32
    assert GEM(p)(torch.full((1, 1, 2, 2), 0.01)).item() == pytest.approx(0.01)


def test_gem_replaces_the_average() -> None:
    extractor = ResnetExtractor(None, "resnet18", gem_p=3.0).eval()
    maps: list[torch.Tensor] = []
    extractor.model.layer4.register_forward_hook(lambda _module, _inputs, output: maps.append(output))
    embeddings = extractor(torch.randn(2, 3, 64, 64))
    expected = maps[0].clamp(min=1e-6).pow(3).mean(dim=(-2, -1)).pow(1 / 3)
    torch.testing.assert_close(embeddings, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gem_in_half_precision(dtype: torch.dtype) -> None:
    x = torch.rand(1, 2, 4, 4)
    pooled = GEM(7)(x.to(dtype))
    assert pooled.dtype == dtype
    torch.testing.assert_close(pooled.float(), GEM(7)(x), rtol=2e-2, atol=0)


@pytest.mark.parametrize("arguments", [{"p": 0}, {"p": 1, "eps": 0}])
def test_gem_arguments(arguments: dict) -> None:
    with pytest.raises(InvalidInputError, match="must be positive"):
        GEM(**arguments)


def test_gem_is_printed_with_its_options() -> None:
    assert repr(nn.Sequential(GEM(3))).endswith("GEM(p=3, eps=1e-06)\n)")

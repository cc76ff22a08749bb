from pathlib import Path

import pytest
import torch

from oml.errors import InvalidInputError
from oml.models import ECAPATDNNExtractor
from oml.models.audio.ecapa_tdnn.network import EcapaTdnn, PreEmphasis


@pytest.fixture(autouse=True)
def tiny_archs(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = {"tiny": lambda: EcapaTdnn(n_channels=16, feat_dim=6)}
    monkeypatch.setattr(ECAPATDNNExtractor, "constructors", {**ECAPATDNNExtractor.constructors, **tiny})


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("shape", [(0, 900), (1, 257), (3, 900), (3, 1, 900)])
def test_output(normalise: bool, shape: tuple[int, ...]) -> None:
    extractor = ECAPATDNNExtractor(None, "tiny", normalise).eval()
    embeddings = extractor.extract(torch.randn(shape))
    assert embeddings.shape == (shape[0], extractor.feat_dim) == (shape[0], 6)
    if normalise:
        torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(shape[0]))
    assert (extractor.arch, extractor.normalise_features) == ("tiny", normalise)


def test_channel_dimension_changes_nothing(generator: torch.Generator) -> None:
    extractor, audio = ECAPATDNNExtractor(None, "tiny").eval(), torch.randn(2, 900, generator=generator)
    assert torch.equal(extractor(audio), extractor(audio[:, None]))


def test_documented_arch() -> None:
    with torch.device("meta"):
        extractor = ECAPATDNNExtractor(None, "ecapa_tdnn_taoruijie").eval()
    assert extractor.feat_dim == 192
    assert extractor.model.conv1.weight.shape == (1024, 80, 5)


def test_loudness_changes_little(generator: torch.Generator) -> None:
    extractor, audio = ECAPATDNNExtractor(None, "tiny").eval(), torch.randn(1, 4000, generator=generator)
    torch.testing.assert_close(extractor(audio), extractor(audio * 8), atol=1e-4, rtol=0)  # log, minus mean over time


def test_pre_emphasis_is_the_formula(generator: torch.Generator) -> None:
    audio = torch.randn(2, 7, generator=generator)
    expected = [[x[i] - 0.97 * x[i - 1 if i else 1] for i in range(7)] for x in audio.tolist()]
    torch.testing.assert_close(PreEmphasis()(audio), torch.tensor(expected))


def test_training_reaches_all_weights_but_not_the_sound() -> None:
    extractor = ECAPATDNNExtractor(None, "tiny").train()
    audio = torch.randn(4, 900, requires_grad=True)
    extractor(audio).square().sum().backward()
    assert audio.grad is None
    assert all(p.grad is not None and p.grad.isfinite().all() for p in extractor.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtype_follows_the_network(dtype: torch.dtype) -> None:
    extractor = ECAPATDNNExtractor(None, "tiny").eval().to(dtype)
    assert extractor(torch.randn(1, 900, dtype=dtype)).dtype == dtype


def test_reload_gives_identical_outputs(tmp_path: Path) -> None:
    extractor = ECAPATDNNExtractor(None, "tiny").eval()
    torch.save({"state_dict": extractor.state_dict()}, tmp_path / "own.ckpt")
    audio = torch.randn(2, 900)
    assert torch.equal(ECAPATDNNExtractor(tmp_path / "own.ckpt", "tiny").eval()(audio), extractor(audio))


def test_published_file_with_its_criterion(tmp_path: Path) -> None:
    network = EcapaTdnn(n_channels=16, feat_dim=6)
    published = {f"speaker_encoder.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({**published, "speaker_loss.weight": torch.zeros(5, 6)}, tmp_path / "pretrain.model")
    loaded = ECAPATDNNExtractor(tmp_path / "pretrain.model", "tiny").model.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("shape", [(900,), (2, 2, 900), (1, 1, 1, 900)])
def test_wrong_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(AssertionError, match=r"\(N, T\) or \(N, 1, T\), got the shape \[.*\]\. Average the channels"):
        ECAPATDNNExtractor(None, "tiny")(torch.zeros(shape))


def test_short_sound() -> None:
    with pytest.raises(InvalidInputError, match=r"more than n_fft // 2 = 256 samples, got 256"):
        ECAPATDNNExtractor(None, "tiny")(torch.zeros(2, 256))


def test_unknown_arch() -> None:
    with pytest.raises(AssertionError, match=r"Unknown arch of ECAPATDNNExtractor 'ecapa'\..*Known: ecapa_tdnn_taor"):
        ECAPATDNNExtractor(None, "ecapa")

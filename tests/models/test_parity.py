"""Our extractors against the answers of the original networks, recorded beside the format of their checkpoints."""

from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from oml import models
from oml.interfaces.models import IExtractor
from tests.reference.checkpoints import FIXTURES, make_input, make_state_dict, read_fixture

# Values were recorded in float32 on another machine: sums in another order differ by about 1e-5 at most.
VALUES_ATOL = 1e-4
NORM_ATOL = 1e-3
COSINE_ATOL = 1e-5

HEAVY = {"vit__vitl14", "vit__vitb14", "vit_unicom__vitb16_unicom"}
NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))


class Published(NamedTuple):
    fixture: dict[str, Any]
    state_dict: dict[str, Tensor]
    path: Path

    def make_extractor(self, path: Path) -> IExtractor:
        constructor = getattr(models, self.fixture["extractor"])
        return constructor(**{**self.fixture["arguments"], "weights": path}).eval()


@pytest.fixture(scope="module")
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    fixture = read_fixture(request.param)
    state_dict = make_state_dict(fixture)
    folder = tmp_path_factory.mktemp("published")
    torch.save(state_dict, folder / "published.pth")
    yield Published(fixture, state_dict, folder / "published.pth")
    rmtree(folder)


def each(names: list[str]) -> pytest.MarkDecorator:
    params = [pytest.param(name, marks=[pytest.mark.slow] if name in HEAVY else []) for name in names]
    return pytest.mark.parametrize("published", params, indirect=True)


def test_there_are_recorded_answers() -> None:
    for family in ("vit__", "vit_clip__", "vit_unicom__", "resnet__", "ecapa_tdnn__"):
        assert any(name.startswith(family) for name in NAMES), f"Expected recorded answers of {family} in {FIXTURES}."
    assert len(NAMES) >= 16


def check_answers(embeddings: Tensor, expected: dict) -> None:
    assert list(embeddings.shape) == expected["shape"]
    first = torch.tensor([expected["first_16_of_row_0"], expected["first_16_of_row_1"]])
    torch.testing.assert_close(embeddings[:, :16], first, atol=VALUES_ATOL, rtol=0)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.tensor(expected["l2_norms"]), atol=NORM_ATOL, rtol=0)
    cosine = torch.cosine_similarity(embeddings[0], embeddings[1], dim=0).item()
    assert cosine == pytest.approx(expected["cosine_between_rows"], abs=COSINE_ATOL)


@each(NAMES)
def test_published_checkpoint_gives_the_recorded_answers(published: Published) -> None:
    extractor = published.make_extractor(published.path)
    assert extractor.feat_dim == published.fixture["feat_dim"]
    with torch.no_grad():
        for size, expected in published.fixture["expected"].items():
            check_answers(extractor(make_input(published.fixture, int(size))), expected)


@each([n for n in NAMES if n not in HEAVY])
def test_training_checkpoint_gives_the_same_weights(published: Published, tmp_path: Path) -> None:
    # As Lightning keeps them, with a criterion beside the model.
    training = {f"model.model.{n}": tensor for n, tensor in published.state_dict.items()}
    training["criterion.weight"] = torch.zeros(3)
    path = tmp_path / "training.ckpt"
    torch.save({"epoch": 3, "state_dict": training}, path)
    first = published.make_extractor(published.path).state_dict()
    second = published.make_extractor(path).state_dict()
    path.unlink()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[n], second[n]) for n in first)

"""Our extractors against the answers of the original networks, recorded beside the format of their checkpoints."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from oml import models
from tests.reference.checkpoints import FIXTURES, make_images, make_state_dict, read_fixture

# Values were recorded in float32 on another machine: sums in another order differ by about 1e-5 at most.
VALUES_ATOL = 1e-4
NORM_ATOL = 1e-3
COSINE_ATOL = 1e-5

FAMILIES = ("vit__", "resnet__")
HEAVY = {"vit__vitl14", "vit__vitb14"}
NAMES = sorted(path.stem for path in FIXTURES.glob("*.json") if path.stem.startswith(FAMILIES))


def test_there_are_recorded_answers() -> None:
    assert len(NAMES) >= 11, f"Expected the recorded answers of vit and resnet in {FIXTURES}, found {NAMES}."


def check_answers(embeddings: Tensor, expected: dict) -> None:
    assert list(embeddings.shape) == expected["shape"]
    first = torch.tensor([expected["first_16_of_row_0"], expected["first_16_of_row_1"]])
    torch.testing.assert_close(embeddings[:, :16], first, atol=VALUES_ATOL, rtol=0)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.tensor(expected["l2_norms"]), atol=NORM_ATOL, rtol=0)
    cosine = torch.cosine_similarity(embeddings[0], embeddings[1], dim=0).item()
    assert cosine == pytest.approx(expected["cosine_between_rows"], abs=COSINE_ATOL)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in HEAVY])
def test_training_checkpoint_gives_the_same_weights(name: str, tmp_path: Path) -> None:
    fixture = read_fixture(name)
    constructor = getattr(models, fixture["extractor"])
    published = make_state_dict(fixture)
    # As Lightning keeps them, with a criterion beside the model.
    training = {f"model.model.{n}": tensor for n, tensor in published.items()}
    training["criterion.weight"] = torch.zeros(3)
    torch.save(published, tmp_path / "published.pth")
    torch.save({"epoch": 3, "state_dict": training}, tmp_path / "training.ckpt")
    arguments = fixture["arguments"]
    first = constructor(**{**arguments, "weights": tmp_path / "published.pth"}).state_dict()
    second = constructor(**{**arguments, "weights": tmp_path / "training.ckpt"}).state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[n], second[n]) for n in first)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in HEAVY else []) for n in NAMES])
def test_published_checkpoint_gives_the_recorded_answers(name: str, tmp_path: Path) -> None:
    fixture = read_fixture(name)
    constructor = getattr(models, fixture["extractor"])
    published = make_state_dict(fixture)
    path = tmp_path / "published.pth"
    torch.save(published, path)
    extractor = constructor(**{**fixture["arguments"], "weights": path}).eval()
    assert extractor.feat_dim == fixture["feat_dim"]
    with torch.no_grad():
        for size, expected in fixture["expected"].items():
            check_answers(extractor(make_images(int(size))), expected)

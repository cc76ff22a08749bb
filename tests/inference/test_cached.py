import hashlib
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from oml.datasets import ImageBaseDataset
from oml.inference import inference, inference_cached
from oml.inference.fingerprint import calc_fingerprints
from oml.transforms.images.torchvision import get_normalisation_resize_torch, get_normalisation_torch
from tests.inference.datasets import EmbeddedDataset


class Scaled(nn.Module):
    def __init__(self, scale: float = 1.0):
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.scale = scale
        self._n_calls = [0]

    def forward(self, x: Tensor) -> Tensor:
        self._n_calls[0] += len(x)
        return self.scale * self.linear(x.flatten(start_dim=1)[:, :3])


class Inputs(EmbeddedDataset):
    n_reads = 0  # counts, but not in the data set itself

    def __getitem__(self, item: int) -> dict[str, Any]:
        return {"input_tensors": self.inputs[item], "idx": item}


def make_dataset(shift: float = 0.0) -> Inputs:
    dataset = Inputs(torch.arange(60.0).reshape(20, 3) + shift)
    del dataset.n_reads
    return dataset


@pytest.fixture
def model() -> Scaled:
    torch.manual_seed(0)
    return Scaled()


def call(model: Scaled, dataset: Any, path: Path, **options: Any) -> tuple[Tensor, bool]:
    """Give the embeddings, and whether they were calculated."""
    before = model._n_calls[0]
    embeddings = inference_cached(model, dataset, 4, verbose=False, cache_path=path, **options)
    counts = model._n_calls[0]
    torch.testing.assert_close(embeddings, inference(model, dataset))
    n_calculated, model._n_calls[0] = counts - before, counts
    return embeddings, n_calculated > 0


def test_calculated_once(model: Scaled, tmp_path: Path) -> None:
    path = tmp_path / "new" / "cache.pth"
    assert call(model, make_dataset(), path)[1]
    assert not call(model, make_dataset(), path)[1]
    assert [p.name for p in path.parent.iterdir()] == ["cache.pth"]


def change_weight(model: Scaled) -> None:
    with torch.no_grad():
        model.linear.bias[1] += 1e-6


def change_setting(model: Scaled) -> None:
    model.scale = 2.0


@pytest.mark.parametrize("change", [change_weight, change_setting])
def test_another_model(change: Any, model: Scaled, tmp_path: Path) -> None:
    call(model, make_dataset(), tmp_path / "x")
    change(model)
    with pytest.warns(UserWarning, match=r"x belong to another model or other weights: they are calculated anew"):
        assert call(model, make_dataset(), tmp_path / "x")[1]
    assert not call(model, make_dataset(), tmp_path / "x")[1]


def test_another_dataset(model: Scaled, tmp_path: Path) -> None:
    call(model, make_dataset(), tmp_path / "x")
    changed = make_dataset()
    changed.inputs[7, 1] += 1  # none of the items that are read for the comparison
    with pytest.warns(UserWarning, match="belong to another data set, transform or state of its files: they"):
        assert call(model, changed, tmp_path / "x")[1]
    with pytest.warns(UserWarning, match="belong to another data set.*, another content of items: they"):
        assert call(model, make_dataset(1), tmp_path / "x")[1]


@pytest.mark.parametrize("content", [b"", b"something else", pickle.dumps(torch.zeros(2)), None])
def test_a_file_that_is_no_cache(content: bytes | None, model: Scaled, tmp_path: Path) -> None:
    path = tmp_path / "x"
    torch.save(torch.zeros(20, 2), path) if content is None else path.write_bytes(content)
    with pytest.warns(UserWarning, match="cannot be read, or say not what they belong to: they are calculated anew"):
        assert call(model, make_dataset(), path)[1]
    assert not call(model, make_dataset(), path)[1]


def test_nothing_is_left_of_a_failed_write(model: Scaled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(content: Any, file: Any) -> None:
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        inference_cached(model, make_dataset(), verbose=False, cache_path=tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_empty_dataset(model: Scaled, tmp_path: Path) -> None:
    dataset = Inputs(torch.zeros(0, 3))
    for _ in range(2):
        assert len(inference_cached(model, dataset, verbose=False, cache_path=tmp_path / "x")) == 0


@pytest.fixture
def pictures(tmp_path: Path) -> Iterator[list[str]]:
    names = [f"{i}.png" for i in range(20)]
    for i, name in enumerate(names):
        Image.fromarray(np.full((4, 5, 3), i, dtype=np.uint8)).save(tmp_path / name)
    return names


def find_differing(first: Any, second: Any) -> list[str]:
    model = nn.Linear(1, 1)
    one, two = calc_fingerprints(model, first), calc_fingerprints(model, second)
    return [name for name in one if one[name] != two[name]]


def test_pictures(pictures: list[str], tmp_path: Path) -> None:
    def make(**options: Any) -> ImageBaseDataset:
        arguments = {"transform": get_normalisation_torch(), "dataset_root": tmp_path}
        return ImageBaseDataset(pictures, **{**arguments, **options})

    first = make()
    assert find_differing(first, make()) == []
    cached = make(cache_size=30)
    before = calc_fingerprints(nn.Linear(1, 1), cached)
    assert [cached[i]["idx"] for i in range(20)] == list(range(20))
    assert (
        calc_fingerprints(nn.Linear(1, 1), cached)["dataset"] == before["dataset"]
    )  # what it remembers does not count
    assert find_differing(first, make(transform=get_normalisation_resize_torch(4))) == ["dataset", "inputs"]
    assert find_differing(first, make(bboxes=[(0, 0, 5, 4)] * 20)) == ["dataset"]
    before = calc_fingerprints(nn.Linear(1, 1), first)
    Image.fromarray(np.zeros((4, 6, 3), dtype=np.uint8)).save(tmp_path / "7.png")
    assert calc_fingerprints(nn.Linear(1, 1), first)["dataset"] != before["dataset"]


def test_tables_functions_and_sets(pictures: list[str]) -> None:
    def make(**values: Any) -> Inputs:
        dataset = make_dataset()
        vars(dataset).update(values)
        return dataset

    def transform(shift: int) -> Any:
        return lambda x: x + shift

    df = pd.DataFrame({"label": [1, 2], "name": ["a", "b"]})
    pairs = [
        (df, df.copy(), df.assign(label=[1, 3])),
        (df.label, df.label.copy(), df.label.rename("x") + 1),
        (transform(1), transform(1), transform(2)),
        ({"a", "b", "c"}, {"c", "b", "a"}, {"a"}),
        (np.array([1, "a", None], dtype=object), np.array([1, "a", None], dtype=object), np.array([1], dtype=object)),
        ({"a": 1}, {"a": 1}, {"a": 1.0}),
        (torch.float16, torch.float16, torch.float32),
        (Path("a"), Path("a"), "a"),
    ]
    for value, same, other in pairs:
        assert find_differing(make(value=value), make(value=same)) == []
        assert find_differing(make(value=value), make(value=other)) == ["dataset"]


def test_pieces_are_not_mixed_up() -> None:
    assert find_differing(Inputs(torch.zeros(2, 3)), Inputs(torch.zeros(3, 2))) == ["dataset", "inputs"]


def test_fingerprints_are_the_same_in_another_process(tmp_path: Path) -> None:
    code = (
        "import torch; from torch import nn; from oml.inference.fingerprint import calc_fingerprints;"
        "from tests.inference.test_cached import make_dataset, Scaled; torch.manual_seed(0);"
        "print(sorted(calc_fingerprints(Scaled(), make_dataset()).items()))"
    )
    torch.manual_seed(0)
    own = str(sorted(calc_fingerprints(Scaled(), make_dataset()).items()))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == own
    assert hashlib.sha256(b"").hexdigest() not in own

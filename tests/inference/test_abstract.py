from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from oml.datasets import TextLabeledDataset
from oml.errors import InvalidInputError
from oml.inference import inference, pairwise_inference
from oml.inference.loop import move_to_device
from oml.interfaces.models import IExtractor, IPairwiseModel
from oml.models import HFWrapper
from oml.utils import get_mock_texts_dataset
from tests.inference.datasets import EmbeddedDataset, make_dataset
from tests.texts import make_bert, make_tokenizer


class Doubling(IExtractor):
    """Has neither parameters nor buffers."""

    feat_dim = 3

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


class Linear(IExtractor):
    feat_dim = 5

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 5)
        self.frozen = nn.Dropout(0.5).eval()
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.linear(x))


class Distance(IPairwiseModel):
    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return (x1 - 2 * x2).abs().sum(dim=1)  # not symmetric, so that the order in a pair matters

    def predict(self, x1: Tensor, x2: Tensor) -> Tensor:
        return self.forward(x1, x2)


@pytest.mark.parametrize("n_items", [0, 1, 5, 8])
@pytest.mark.parametrize("batch_size", [1, 3, 8, 100])
def test_rows_are_those_of_one_big_batch(n_items: int, batch_size: int) -> None:
    dataset, model = make_dataset(n_items), Linear().eval()
    embeddings = inference(model, dataset, batch_size=batch_size)
    torch.testing.assert_close(embeddings, model(dataset.inputs).detach().reshape(n_items, 5))
    assert dataset.n_reads == n_items
    assert not embeddings.requires_grad


@settings(max_examples=30, deadline=None)
@given(n_items=st.integers(0, 30), batch_size=st.integers(1, 40))
def test_order_is_that_of_the_dataset(n_items: int, batch_size: int) -> None:
    dataset = make_dataset(n_items)
    assert torch.equal(inference(Doubling(), dataset, batch_size), 2 * dataset.inputs)


def test_embeddings_can_be_trained_on() -> None:
    embeddings = inference(Linear(), make_dataset(4))
    head = nn.Linear(5, 1)
    head(embeddings).sum().backward()  # a tensor of torch.inference_mode would refuse
    assert head.weight.grad is not None


def test_workers_give_the_same() -> None:
    dataset = make_dataset(7)
    assert torch.equal(inference(Doubling(), dataset, batch_size=2, num_workers=1), 2 * dataset.inputs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtype_follows_the_model(dtype: torch.dtype) -> None:
    dataset = EmbeddedDataset(torch.ones(2, 3, dtype=dtype))
    assert inference(Doubling(), dataset).dtype == dtype


def test_fp16_changes_nothing_on_cpu() -> None:
    dataset, model = make_dataset(4), Linear()
    assert torch.equal(inference(model, dataset, use_fp16=True), inference(model, dataset))


def test_model_with_buffers_only() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3, affine=False))
    dataset = make_dataset(3)
    torch.testing.assert_close(inference(model, dataset), dataset.inputs, rtol=1e-4, atol=1e-4)  # eps of the norm


def test_empty_dataset_without_known_features() -> None:
    assert inference(nn.Linear(3, 5), make_dataset(0)).shape == (0, 0)


@pytest.mark.parametrize("fails", [False, True])
def test_modes_are_given_back(fails: bool) -> None:
    model = Linear().train()
    model.frozen.eval()
    dataset = EmbeddedDataset(torch.zeros(2, 4 if fails else 3))
    if fails:
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            inference(model, dataset)
    else:
        inference(model, dataset)
    assert model.training
    assert model.dropout.training
    assert not model.frozen.training


def test_progress_bar_only_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    inference(Doubling(), make_dataset(2))
    assert capsys.readouterr() == ("", "")
    inference(Doubling(), make_dataset(2), verbose=True)
    assert "Inference" in capsys.readouterr().err


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batch_size_must_be_positive(batch_size: int) -> None:
    with pytest.raises(InvalidInputError, match=f"batch_size must be a positive number of items, got {batch_size}"):
        inference(Doubling(), make_dataset(2), batch_size=batch_size)


def test_indices_must_be_positions() -> None:
    dataset = EmbeddedDataset(torch.zeros(4, 3), index_shift=1)
    with pytest.raises(AssertionError, match=r"own position under the key 'idx', but dataset\[0\] holds 1"):
        inference(Doubling(), dataset)


def test_model_must_give_a_matrix() -> None:
    with pytest.raises(
        InvalidInputError, match=r"must give embeddings \(B, D\) for inference, got the shape \[2, 1, 3\]"
    ):
        inference(nn.Unflatten(1, (1, 3)), make_dataset(2))

    class Text(Doubling):
        def forward(self, x: Tensor) -> Any:
            return {"features": x}

    with pytest.raises(InvalidInputError, match="got dict"):
        inference(Text(), make_dataset(2))


def test_model_must_give_one_row_per_item() -> None:
    class Dropping(Doubling):
        def forward(self, x: Tensor) -> Tensor:
            return x[1:]

    with pytest.raises(InvalidInputError, match=r"for each of the 4 items of the batch, got \[3, 3\]"):
        inference(Dropping(), make_dataset(4))


def test_number_of_features_must_not_change() -> None:
    class Narrow(Doubling):
        def forward(self, x: Tensor) -> Tensor:
            return x if len(x) == 2 else x[:, :1]  # one column would broadcast over the row

    with pytest.raises(InvalidInputError, match=r"one row of the shape \[3\] .* got \[1, 1\]"):
        inference(Narrow(), make_dataset(3), batch_size=2)


def test_inputs_of_several_kinds_are_moved() -> None:
    point = namedtuple("point", "x y")
    moved = move_to_device({"a": (torch.zeros(1), "text"), "b": point(torch.zeros(1), 2)}, "meta")
    assert moved["a"][0].device.type == "meta"
    assert moved["a"][1] == "text"
    assert moved["b"].x.device.type == "meta"
    assert moved["b"].y == 2


@pytest.mark.parametrize("pair_ids", [[], [(0, 0)], [(0, 1), (3, 2), (1, 0), (0, 1)]])
def test_pairs_are_compared_in_their_order(pair_ids: list[tuple[int, int]]) -> None:
    dataset = make_dataset(4)
    distances = pairwise_inference(Distance(), dataset, pair_ids, batch_size=3, verbose=False)
    plain = [float((dataset.inputs[i] - 2 * dataset.inputs[j]).abs().sum()) for i, j in pair_ids]
    assert distances.tolist() == pytest.approx(plain)


def test_predict_must_give_one_number_per_pair() -> None:
    class Wide(Distance):
        def predict(self, x1: Tensor, x2: Tensor) -> Tensor:
            return x1

    with pytest.raises(InvalidInputError, match=r"one number per pair, \(B,\), got the shape \[1, 3\]"):
        pairwise_inference(Wide(), make_dataset(2), [(0, 1)], verbose=False)


def test_wrapper_of_distributed_training_is_taken_off() -> None:
    # Calling the wrapper would synchronise buffers: a process with one batch less would be waited for forever.
    wrapper = nn.parallel.DistributedDataParallel.__new__(nn.parallel.DistributedDataParallel)
    nn.Module.__init__(wrapper)
    wrapper.module = Doubling()
    dataset = make_dataset(3)
    assert torch.equal(inference(wrapper, dataset), 2 * dataset.inputs)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("use_fp16", [False, True])
@pytest.mark.parametrize("on_cpu", [False, True])
def test_model_on_cuda(use_fp16: bool, on_cpu: bool) -> None:
    dataset, model = make_dataset(5), Linear().cuda()
    embeddings = inference(model, dataset, batch_size=2, use_fp16=use_fp16, accumulate_on_cpu=on_cpu)
    assert embeddings.device.type == ("cpu" if on_cpu else "cuda")
    assert embeddings.dtype == torch.float32
    expected = inference(model.cpu(), dataset)
    torch.testing.assert_close(embeddings.cpu(), expected, atol=1e-2 if use_fp16 else 1e-5, rtol=0)


class Sized(EmbeddedDataset):
    def get_lengths(self) -> np.ndarray:
        return np.arange(len(self)) * 7 % 5


class Table(EmbeddedDataset):
    def __init__(self, dataset: EmbeddedDataset):
        super().__init__(dataset.inputs)
        self.dataset = dataset


@pytest.mark.parametrize("n_items", [0, 1, 9])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
@pytest.mark.parametrize("make", [lambda dataset: dataset, Table])
def test_order_by_length_is_undone(n_items: int, batch_size: int, make: Any) -> None:
    seen = []

    class Remembering(Doubling):
        def forward(self, x: Tensor) -> Tensor:
            seen.extend(x[:, 0].tolist())
            return 2 * x

    dataset = make(Sized(torch.randn(n_items, 3, generator=torch.Generator().manual_seed(0))))
    for workers in (0, 1):
        found = inference(Remembering(), dataset, batch_size=batch_size, num_workers=workers, by_length=True)
        assert torch.equal(found, 2 * dataset.inputs if n_items else torch.empty(0, 3))
    longest_first = sorted(range(n_items), key=lambda i: -(i * 7 % 5))
    assert seen == dataset.inputs[longest_first, 0].tolist() * 2


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_texts_by_length_have_the_same_embeddings(batch_size: int) -> None:
    df, _ = get_mock_texts_dataset()
    dataset = TextLabeledDataset(df, make_tokenizer(), max_length=60)
    shapes = []

    class Remembering(HFWrapper):
        def forward(self, x: Any) -> Tensor:
            shapes.append(tuple(x["input_ids"].shape))
            return super().forward(x)

    model = Remembering(make_bert(), pooling="mean")
    expected = inference(model, dataset, batch_size=batch_size)
    assert {length for _, length in shapes} == {60}
    shapes.clear()
    torch.testing.assert_close(inference(model, dataset, batch_size, by_length=True), expected, rtol=1e-5, atol=1e-5)
    masks = torch.stack([item["input_tensors"]["attention_mask"] for item in dataset])
    assert max(length for _, length in shapes) == masks.sum(dim=1).max() < 60
    if batch_size < 64:
        assert sum(n * length for n, length in shapes) < len(dataset) * masks.sum(dim=1).max()


def test_lengths_must_be_known() -> None:
    with pytest.raises(InvalidInputError, match=r"`by_length` needs .* get_lengths\(\) .* EmbeddedDataset does not"):
        inference(Doubling(), make_dataset(2), by_length=True)


def _run_in_group(rank: int, world_size: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=world_size)
    try:
        for n_items in (0, 1, 2, 5, 6):
            dataset = make_dataset(n_items)
            embeddings = inference(Doubling(), dataset, batch_size=2)
            assert torch.equal(embeddings, 2 * dataset.inputs)
            sized = Sized(dataset.inputs)
            assert torch.equal(inference(Doubling(), sized, batch_size=2, by_length=True), embeddings)
            assert dataset.n_reads in (n_items // world_size, -(-n_items // world_size))
            distances = pairwise_inference(Distance(), dataset, [(0, 0)] * n_items, batch_size=1, verbose=False)
            plain = float(dataset.inputs[0].abs().sum()) if n_items else 0.0
            assert distances.tolist() == pytest.approx([plain] * n_items)
        Path(folder, f"done_{rank}").touch()
    finally:
        dist.destroy_process_group()


@pytest.mark.slow
def test_group_of_processes_gives_each_the_whole(tmp_path: Path) -> None:
    world_size = 3
    mp.spawn(_run_in_group, args=(world_size, str(tmp_path)), nprocs=world_size)
    assert sorted(path.name for path in tmp_path.glob("done_*")) == [f"done_{rank}" for rank in range(world_size)]

"""Pictures, texts and sounds are equal: the same loop, inference, metrics, figures, pages and checks for each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from oml.datasets import PairDataset, get_retrieval_datasets
from oml.inference import inference
from oml.interfaces.models import IExtractor
from oml.losses import TripletLossWithMiner
from oml.metrics import EmbeddingMetrics, evaluate
from oml.miners import AllTripletsMiner
from oml.models import CharExtractor
from oml.retrieval import RetrievalResults
from oml.samplers import BalanceSampler
from oml.utils import check_dataset, get_mock_audios_dataset, get_mock_images_dataset, get_mock_texts_dataset


class Linear(IExtractor):
    """A layer over all numbers of an item."""

    def __init__(self, n_inputs: int):
        super().__init__()
        self.layer = torch.nn.Linear(n_inputs, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.flatten(1))

    @property
    def feat_dim(self) -> int:
        return 8


def make_images(folder: Path) -> tuple[Any, dict[str, Any], IExtractor]:
    transform = v2.Compose([v2.Resize((8, 8)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    return get_mock_images_dataset(folder), {"transform": transform}, Linear(3 * 8 * 8)


def make_texts(folder: Path) -> tuple[Any, dict[str, Any], IExtractor]:
    extractor = CharExtractor(feat_dim=8)
    return get_mock_texts_dataset(), {"tokenizer": extractor.get_tokenizer(), "max_length": 64}, extractor


def make_audios(folder: Path) -> tuple[Any, dict[str, Any], IExtractor]:
    pytest.importorskip("soundfile")
    options = {"sample_rate": 2000, "max_num_seconds": 0.1}
    return get_mock_audios_dataset(folder), options, Linear(200)


@pytest.mark.parametrize(
    ("modality", "make"), [("images", make_images), ("texts", make_texts), ("audios", make_audios)]
)
def test_all_stages(tmp_path: Path, modality: str, make: Callable[[Path], Any]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tables, options, extractor = make(tmp_path)
    df = pd.concat(tables, ignore_index=True)
    assert check_dataset(df, tmp_path, verbose=False).errors == []
    train, val = get_retrieval_datasets(modality, df, tmp_path, verbose=False, **options)

    criterion = TripletLossWithMiner(margin=None, miner=AllTripletsMiner())
    optimizer = torch.optim.Adam(extractor.parameters(), lr=1e-2)
    sampler = BalanceSampler(train.get_labels(), n_labels=4, n_instances=2, seed=0)
    losses = []
    for batch in [batch for _ in range(5) for batch in DataLoader(train, batch_sampler=sampler)]:
        losses.append(criterion(extractor(batch["input_tensors"]), batch["labels"]))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0]

    metric = EmbeddingMetrics(val, cmc_top_k=(1,), precision_top_k=(), map_top_k=(), verbose=False)
    metric.setup(num_samples=len(val))
    for batch in DataLoader(val, batch_size=5):
        with torch.no_grad():
            metric.update(extractor.eval()(batch["input_tensors"]), batch["idx"].tolist())
    in_batches = float(metric.compute_metrics()["OVERALL"]["cmc"][1])
    assert len(metric.visualize()[0]) > 0

    rr = RetrievalResults.from_embeddings(inference(extractor, val, batch_size=7), val, n_items=3)
    assert float(evaluate(rr, ["cmc@1"])["cmc@1"]) == pytest.approx(in_batches)
    assert len(rr.visualize([0], val).axes) >= 4
    assert rr.visualize_as_html([0], val).count("<tr>") == 1
    pair = PairDataset(val, [(1, 0)])[0]
    torch.testing.assert_close(pair["input_tensors_2"], val[0]["input_tensors"])

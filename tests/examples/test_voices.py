from functools import partial

import pytest
import torch

from examples.voices import main
from oml.datasets import AudioQueryGalleryDataset
from oml.inference import inference
from oml.models import ECAPATDNNExtractor
from oml.models.audio.ecapa_tdnn.network import EcapaTdnn
from oml.retrieval import RetrievalResults
from oml.utils import get_mock_audios_dataset


@pytest.fixture
def arch(monkeypatch):
    monkeypatch.setitem(ECAPATDNNExtractor.constructors, "tiny", partial(EcapaTdnn, n_channels=16, feat_dim=24))
    return "tiny"


def test_training_validation_and_a_page(tmp_path, arch):
    before, after = main(tmp_path / "data", arch=arch, n_epochs=10, page=tmp_path / "page.html")
    assert after["map@5"] > before["map@5"] + 0.05
    page = (tmp_path / "page.html").read_text()
    assert page.count("<tr>") == 3
    assert page.count("<audio controls") == page.count("data:image/png;base64,") >= 3 * 4


def test_prediction_without_labels(tmp_path, arch):
    torch.manual_seed(0)
    _, df = get_mock_audios_dataset(tmp_path)
    df = df.drop(columns=["label", "split"]).assign(is_query=df.index < 4, is_gallery=df.index >= 2)
    dataset = AudioQueryGalleryDataset(df, tmp_path, max_num_seconds=0.5)
    extractor = ECAPATDNNExtractor(arch=arch)
    embeddings = inference(extractor, dataset, batch_size=6)
    assert embeddings.shape == (len(df), 24)
    alone = extractor.eval()(dataset[3]["input_tensors"][None])
    torch.testing.assert_close(embeddings[3:4], alone, rtol=1e-4, atol=1e-5)
    rr = RetrievalResults.from_embeddings(embeddings, dataset, n_items=3)
    assert [len(ids) for ids in rr.retrieved_ids] == [3, 3, 3, 3]
    assert rr.visualize_as_html([0], dataset).count("<audio controls") == 4

"""A model of transformers in training, validation and prediction, on datasets of texts."""

import torch
from torch.utils.data import DataLoader

from oml.datasets import TextLabeledDataset, TextQueryGalleryDataset, TextQueryGalleryLabeledDataset
from oml.datasets.encodings import collate_without_padding
from oml.inference import inference
from oml.losses import TripletLossWithMiner
from oml.metrics import EmbeddingMetrics, evaluate
from oml.miners import AllTripletsMiner
from oml.models import HFWrapper
from oml.retrieval import RetrievalResults
from oml.samplers import BalanceSampler
from oml.utils import get_mock_texts_dataset
from tests.texts import make_bert, make_tokenizer


def test_training_validation_and_prediction() -> None:
    tokenizer, extractor = make_tokenizer(), HFWrapper(make_bert(), feat_dim=16)
    df_train, df_val = get_mock_texts_dataset()
    train = TextLabeledDataset(df_train, tokenizer, max_length=60)
    val = TextQueryGalleryLabeledDataset(df_val, tokenizer, max_length=60)
    sampler = BalanceSampler(train.get_labels(), n_labels=4, n_instances=4, seed=0)
    criterion = TripletLossWithMiner(margin=None, miner=AllTripletsMiner())
    optimizer = torch.optim.Adam(extractor.parameters(), lr=3e-3)
    losses = []
    for _ in range(20):
        for batch in DataLoader(train, batch_sampler=sampler, collate_fn=collate_without_padding):
            loss = criterion(extractor(batch["input_tensors"]), batch["labels"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]

    metric = EmbeddingMetrics(val, cmc_top_k=(1,), precision_top_k=(), map_top_k=())
    metric.setup(num_samples=len(val))
    for batch in DataLoader(val, batch_size=5):
        with torch.no_grad():
            metric.update(extractor.eval()(batch["input_tensors"]), batch["idx"].tolist())
    in_batches = metric.compute_metrics()["OVERALL"]["cmc"][1]
    rr = RetrievalResults.from_embeddings(inference(extractor, val, batch_size=7, by_length=True), val)
    assert float(in_batches) == float(evaluate(rr, metrics=["cmc@1"])["cmc@1"])

    new = TextQueryGalleryDataset(df_val.drop(columns=["label", "split"]), tokenizer, max_length=60)
    predicted = RetrievalResults.from_embeddings(inference(extractor, new, batch_size=7, by_length=True), new)
    assert predicted.gt_ids is None
    assert [ids.tolist() for ids in predicted.retrieved_ids] == [ids.tolist() for ids in rr.retrieved_ids]

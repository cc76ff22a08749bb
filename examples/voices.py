"""Train a network on voices, validate it on voices that it has never heard, listen to what it finds."""

from pathlib import Path

import torch
from torch.utils.data import DataLoader

from oml.const import MOCK_AUDIO_DATASET_PATH
from oml.datasets import AudioLabeledDataset, AudioQueryGalleryLabeledDataset
from oml.inference import inference
from oml.losses import ArcFaceLoss
from oml.metrics import evaluate
from oml.models import ECAPATDNNExtractor
from oml.retrieval import RetrievalResults
from oml.samplers import BalanceSampler
from oml.utils import get_mock_audios_dataset


def validate(extractor, val):
    rr = RetrievalResults.from_embeddings(inference(extractor, val, batch_size=8), val, n_items=5)
    return rr, evaluate(rr, ["cmc@1", "map@5"])


def main(dataset_root=MOCK_AUDIO_DATASET_PATH, arch="ecapa_tdnn_taoruijie", n_epochs=20, page="voices.html"):
    torch.manual_seed(0)
    df_train, df_val = get_mock_audios_dataset(dataset_root, "df_with_start_times.csv", global_paths=True)
    train = AudioLabeledDataset(df_train, max_num_seconds=1.0)
    val = AudioQueryGalleryLabeledDataset(df_val, max_num_seconds=1.0)

    extractor = ECAPATDNNExtractor(weights=None, arch=arch)
    criterion = ArcFaceLoss(in_features=extractor.feat_dim, num_classes=df_train["label"].nunique(), m=0.2, s=20)
    loader = DataLoader(train, batch_sampler=BalanceSampler(train.get_labels(), n_labels=4, n_instances=4, seed=0))
    optimizer = torch.optim.AdamW([*extractor.parameters(), *criterion.parameters()], lr=1e-3)

    before = validate(extractor, val)[1]
    extractor.train()
    for _ in range(n_epochs):
        for batch in loader:
            loss = criterion(extractor(batch["input_tensors"]), batch["labels"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    rr, after = validate(extractor, val)
    print("before:", before, "after:", after)
    Path(page).write_text(rr.visualize_as_html(query_ids=[0, 5, 10], dataset=val))
    return before, after


if __name__ == "__main__":
    main()

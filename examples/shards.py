"""Train from tar shards (webdataset): for data on network disks and object stores, where single files are slow."""

from pathlib import Path

import torch
import webdataset as wds

from oml import datasets, inference, losses, metrics, models, retrieval, utils
from oml.transforms.images.torchvision import get_normalisation_resize_torch
from oml.utils.images.images import imread_pillow

N_INSTANCES = (
    3  # pictures of one label in a sample of a shard: so that batches hold pairs in whatever order shards come
)


def write_shards(df, root, folder, max_samples=1000):
    """Write a training table as shards; a sample is a few pictures of one label, each as its own untouched file."""
    folder.mkdir(parents=True)
    shuffled = df.sample(frac=1, random_state=0)
    place = shuffled.groupby("label").cumcount() // N_INSTANCES
    samples = [part for _, part in shuffled.groupby([place, "label"], sort=True) if len(part) == N_INSTANCES]
    with wds.ShardWriter(f"{folder}/train-%06d.tar", maxcount=max_samples, verbose=0) as writer:
        for number, part in enumerate(samples):
            pictures = {f"{i}.image": (Path(root) / path).read_bytes() for i, path in enumerate(part["path"])}
            writer.write({"__key__": f"{number:09}", "cls": str(part["label"].iloc[0]), **pictures})
    return sorted(map(str, folder.glob("*.tar")))


def read_shards(shards, transform, n_labels):
    """Give batches of `n_labels` samples: pictures (n_labels * N_INSTANCES, 3, H, W) and labels."""

    def read(sample):
        pictures = [transform(imread_pillow(sample[f"{i}.image"])) for i in range(N_INSTANCES)]
        return torch.stack(pictures), torch.full((N_INSTANCES,), int(sample["cls"]))

    samples = wds.WebDataset(shards, shardshuffle=False, empty_check=False, nodesplitter=wds.split_by_node).shuffle(
        1000
    )
    return samples.map(read).batched(
        n_labels, collation_fn=lambda parts: tuple(map(torch.cat, zip(*parts, strict=True)))
    )


def main(folder, n_epochs=4, im_size=32):
    torch.manual_seed(0)
    df_train, df_val = utils.get_mock_images_dataset(folder / "mock")
    shards = write_shards(df_train, folder / "mock", folder / "shards", max_samples=4)
    transform = get_normalisation_resize_torch(im_size)
    extractor = models.ConvExtractor(im_size=im_size)
    criterion = losses.SupConLoss(temperature=0.1)
    optimizer = torch.optim.AdamW(extractor.parameters(), lr=1e-3)
    for _ in range(n_epochs):
        for pictures, labels in torch.utils.data.DataLoader(
            read_shards(shards, transform, n_labels=4), batch_size=None
        ):
            loss = criterion(extractor(pictures), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    val = datasets.ImageQueryGalleryLabeledDataset(df_val, dataset_root=folder / "mock", transform=transform)
    rr = retrieval.RetrievalResults.from_embeddings(inference.inference(extractor, val), val)
    return {name: float(value) for name, value in metrics.evaluate(rr, metrics=["cmc@1"]).items()}


if __name__ == "__main__":
    print(main(Path("runs/shards")))

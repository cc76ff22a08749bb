"""Train an extractor on letters, validate it on letters that it has never seen, look at the worst queries, ship it."""

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

import oml
from oml import datasets, inference, losses, metrics, miners, models, retrieval, samplers, utils
from oml.transforms.images.torchvision import get_normalisation_torch

N_EPOCHS, LEARNING_RATE = 16, 3e-3
NAMES = ["cmc@1", "map@5", "map@r"]


def validate(extractor, val):
    embeddings = inference.inference(extractor, val, batch_size=512, num_workers=1, verbose=True)
    rr = retrieval.RetrievalResults.from_embeddings(embeddings, val, n_items=100)
    return rr, metrics.evaluate(rr, NAMES)


torch.manual_seed(0)
df_train, df_val = utils.get_glyphs_dataset(global_paths=True)
train = datasets.ImageLabeledDataset(df_train, transform=get_normalisation_torch())
val = datasets.ImageQueryGalleryLabeledDataset(df_val, transform=get_normalisation_torch())

extractor = models.ConvExtractor(im_size=32)
criterion = losses.TripletLossWithMiner(margin=0.2, miner=miners.HardTripletsMiner())
sampler = samplers.BalanceSampler(train.get_labels(), n_labels=32, n_instances=8, seed=0)
loader = DataLoader(train, batch_sampler=sampler, num_workers=1, persistent_workers=True)
optimizer = torch.optim.AdamW(extractor.parameters(), lr=LEARNING_RATE)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=N_EPOCHS * len(loader))

print("before:", validate(extractor, val)[1])
for _ in tqdm(range(N_EPOCHS), desc="epochs"):
    for batch in loader:
        loss = criterion(extractor(batch["input_tensors"]), batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
rr, values = validate(extractor, val)
print("after:", values)

worst = metrics.evaluate(rr, ["map@r"], reduce=False)["map@r"].argsort()[:5].tolist()
rr.visualize(query_ids=worst, dataset=val).savefig("worst_queries.png")

oml.save_bundle("bundle", extractor, get_normalisation_torch(), metrics.evaluate(rr, NAMES, ci=True), overwrite=True)

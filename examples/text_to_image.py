"""Train two towers, so that texts find pictures that nobody has shown them: "a red star" among drawn figures."""

import random
import tempfile
from pathlib import Path

import pandas as pd
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch.utils.data import DataLoader, StackDataset
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from oml.datasets import ImageLabeledDataset, TextLabeledDataset
from oml.inference import inference
from oml.losses import InfoNCE
from oml.metrics import evaluate
from oml.models import ConvExtractor, HFWrapper, TwoTowerExtractor
from oml.retrieval import RetrievalResults
from oml.samplers import BalanceSampler
from oml.transforms.images.torchvision import get_normalisation_resize_torch
from oml.utils.mock_images import BACKGROUNDS, FIGURES, draw_figure

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 128, 0),
    "blue": (0, 0, 255),
    "orange": (255, 150, 0),
    "black": (0, 0, 0),
    "pink": (255, 120, 180),
}
CAPTIONS = ["a {colour} {figure}", "{figure} in {colour}", "the {figure} is {colour}", "one {colour} {figure} on paper"]


def draw(folder, n_pictures):
    """Draw each figure in each colour, with captions. Every fourth combination is kept for validation."""
    rng, rows = random.Random(0), []
    for f, (figure_name, figure) in enumerate(FIGURES.items()):
        for c, (colour_name, colour) in enumerate(COLOURS.items()):
            for i in range(n_pictures):
                image, (left, top, right, bottom) = draw_figure(figure, colour, rng.choice(BACKGROUNDS), rng)
                path = Path(folder) / f"{colour_name}_{figure_name}_{i}.png"
                image.save(path)
                caption = rng.choice(CAPTIONS).format(colour=colour_name, figure=figure_name)
                split = "validation" if (f + c) % 4 == 0 else "train"
                box = {"x_1": left, "y_1": top, "x_2": right, "y_2": bottom}
                rows.append({"label": f * len(COLOURS) + c, "path": path, "text": caption, "split": split, **box})
    return pd.DataFrame(rows)


def make_tokenizer(texts):
    """Take each word for a token."""
    words = sorted({word for text in texts for word in text.split()})
    names = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *words]
    tokenizer = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]")


def main(n_pictures=12, n_epochs=20):
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        df = draw(folder, n_pictures)
        tokenizer = make_tokenizer(df["text"])
        transform = get_normalisation_resize_torch(im_size=32)
        (texts, pictures), (texts_val, pictures_val) = (
            (TextLabeledDataset(part, tokenizer, max_length=12), ImageLabeledDataset(part, transform=transform))
            for part in (df[df["split"] == split].reset_index(drop=True) for split in ("train", "validation"))
        )
        size = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 128}
        bert = BertModel(BertConfig(vocab_size=len(tokenizer), **size), add_pooling_layer=False)
        towers = TwoTowerExtractor(
            query=HFWrapper(bert, pooling="mean"), gallery=ConvExtractor(im_size=32), projection=32
        )
        criterion = InfoNCE(learnable=True)
        optimizer = torch.optim.AdamW([*towers.parameters(), *criterion.parameters()], lr=1e-3)

        def validate():
            queries, galleries = inference(towers.query, texts_val), inference(towers.gallery, pictures_val)
            rr = RetrievalResults.from_embeddings_qg(queries, galleries, texts_val, pictures_val)
            return evaluate(rr, ["cmc@1", "map@r"])

        before = validate()
        print("before:", before)
        sampler = BalanceSampler(texts.get_labels(), n_labels=16, n_instances=4, seed=0)
        loader = DataLoader(StackDataset(texts, pictures), batch_sampler=sampler)
        for _ in range(n_epochs):
            for text, picture in loader:
                embeddings = towers(text["input_tensors"], picture["input_tensors"])
                loss = criterion(*embeddings, labels=text["labels"])  # pairs of one label are not told apart
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        after = validate()
        print("after, on figures in colours never seen together:", after)
    return before, after


if __name__ == "__main__":
    main()

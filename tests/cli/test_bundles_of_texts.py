import json

import numpy as np
import pandas as pd
import pytest
import torch

import oml
from oml.cli.main import main
from oml.models import HFWrapper

transformers = pytest.importorskip("transformers")
TEXTS = ["red shoe", "a shoe in red", "blue lamp", "lamp blue and small", "green chair", "chair in green"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder with a bundle of texts and a table of them."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    built = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    built.pre_tokenizer = pre_tokenizers.Whitespace()
    built.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=60, special_tokens=["[PAD]", "[UNK]"]))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=built, pad_token="[PAD]", unk_token="[UNK]")
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.BertModel(transformers.BertConfig(vocab_size=len(tokenizer), **size))
    root = tmp_path_factory.mktemp("shop")
    extractor = HFWrapper(model, pooling="mean", normalise_features=True)
    oml.save_bundle(root / "bundle", extractor, tokenizer, dataset_args={"max_length": 9})
    table = pd.DataFrame({"text": TEXTS, "label": [0, 0, 1, 1, 2, 2], "is_query": True, "is_gallery": True})
    table.to_csv(root / "df.csv", index=False)
    return root


def test_predict_and_search(shop, tmp_path, capsys):
    bundle, table = str(shop / "bundle"), str(shop / "df.csv")
    assert main(["predict", bundle, table, "--out", str(tmp_path / "e.npy")]) == 0
    embeddings = torch.from_numpy(np.load(tmp_path / "e.npy"))
    assert embeddings.shape == (6, 8)
    capsys.readouterr()
    assert main(["search", bundle, table, TEXTS[2], "--top-k", "2", "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)["found"][0]["answers"]
    order = torch.cdist(embeddings[2:3], embeddings)[0].argsort(stable=True)[:2].tolist()
    assert [answer["item"] for answer in answers] == [TEXTS[i] for i in order]
    assert answers[0] == {"item": TEXTS[2], "distance": pytest.approx(0, abs=1e-5), "label": 1}


@pytest.mark.parametrize(("options", "min_cosine"), [([], 0.999999), (["--int8"], 0.95)])
def test_validate_and_export(options, min_cosine, shop, tmp_path, capsys):
    bundle, table = str(shop / "bundle"), str(shop / "df.csv")
    assert main(["validate", bundle, table, "--metrics", "map@5", "--json"]) == 0
    mean = json.loads(capsys.readouterr().out)["map@5"]["mean"]
    assert main(["export", bundle, "--data", table, "--out", str(tmp_path / "m.onnx"), *options]) == 0
    text = capsys.readouterr().out
    assert text.startswith("6 items; cosine: min ")
    assert min_cosine <= float(text.split("cosine: min ")[1].split(",")[0]) <= (1 if not options else 0.999999)
    assert f"map@5: {mean:.4f} -> {mean:.4f}" in text


def test_a_folder_is_no_source_of_texts(shop, capsys):
    assert main(["predict", str(shop / "bundle"), str(shop), "--out", "e.npy"]) == 1
    assert "for texts give a table with the column 'text'" in capsys.readouterr().err

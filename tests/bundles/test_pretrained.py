import json

import pytest
import torch
from torch import Tensor

import oml
from oml.errors import InvalidInputError
from oml.interfaces.models import IExtractor
from oml.models import ConvExtractor, HFWrapper, TwoTowerExtractor
from oml.transforms.images.torchvision import get_normalisation_resize_torch

transformers = pytest.importorskip("transformers")
SENTENCES = ["a red shoe", "two blue lamps and a chair"]


class FirstToken(IExtractor):
    def __init__(self, model, weights=None):
        super().__init__()
        self.model = model

    @property
    def feat_dim(self) -> int:
        return self.model.config.hidden_size

    def forward(self, x) -> Tensor:
        return self.model(x["input_ids"], attention_mask=x["attention_mask"]).last_hidden_state[:, 0]


@pytest.fixture(scope="module")
def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    built = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    built.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    built.train_from_iterator(SENTENCES, trainers.WordPieceTrainer(vocab_size=60, special_tokens=special))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=built, pad_token="[PAD]", unk_token="[UNK]")


@pytest.fixture(scope="module")
def extractor(tokenizer):
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
        id2label={0: "cat", 1: "dog"},
    )
    return FirstToken(transformers.BertModel(config, add_pooling_layer=False)).eval()


@pytest.fixture
def folder(tmp_path, extractor, tokenizer):
    return oml.save_bundle(tmp_path / "texts", extractor, tokenizer, dataset_args={"max_length": 12})


def test_texts_give_the_same_embeddings(folder, extractor, tokenizer):
    loaded, loaded_tokenizer, card = oml.load_bundle(folder, trusted_modules=["tests.bundles"])
    assert card.modality == "text"
    assert card.dataset_args == {"max_length": 12}
    args = {"padding": "max_length", "max_length": 12, "truncation": True, "return_tensors": "pt"}
    tokens, loaded_tokens = tokenizer(SENTENCES, **args), loaded_tokenizer(SENTENCES, **args)
    assert torch.equal(tokens["input_ids"], loaded_tokens["input_ids"])
    with torch.no_grad():
        torch.testing.assert_close(loaded(loaded_tokens), extractor(tokens))
    assert loaded.model.config.id2label == {0: "cat", 1: "dog"}


def test_two_towers_are_two_bundles_in_one_space(tmp_path, extractor, tokenizer):
    towers = TwoTowerExtractor(
        HFWrapper(extractor.model, pooling="mean"), ConvExtractor(8, channels=(4,)), projection=5
    )
    with pytest.raises(TypeError, match=r"one tower of a TwoTowerExtractor.*Save towers\.query with its transform and"):
        oml.save_bundle(tmp_path / "both", towers, tokenizer)
    assert list(tmp_path.iterdir()) == []
    transform = get_normalisation_resize_torch(8)
    oml.save_bundle(tmp_path / "texts", towers.query, tokenizer, dataset_args={"max_length": 12})
    oml.save_bundle(tmp_path / "pictures", towers.gallery, transform)
    query, gallery = (oml.load_bundle(tmp_path / name).extractor for name in ("texts", "pictures"))
    args = {"padding": "max_length", "max_length": 12, "truncation": True, "return_tensors": "pt"}
    tokens, pictures = tokenizer(SENTENCES, **args), torch.rand(3, 3, 8, 8)
    with torch.no_grad():
        expected = towers.eval()(tokens, pictures)
        found = query(tokens), gallery(pictures)
    torch.testing.assert_close(found, expected)


def test_names_of_places_and_of_code_are_left_out(folder):
    text = (folder / "bundle.json").read_text()
    assert "_name_or_path" not in text
    content = json.loads(text)
    content["extractor"]["args"]["model"]["config"]["auto_map"] = {"AutoModel": "evil.py--Evil"}
    (folder / "bundle.json").write_text(json.dumps(content))
    loaded = oml.load_bundle(folder, trusted_modules=["tests.bundles"]).extractor
    assert type(loaded.model) is transformers.BertModel
    assert not hasattr(loaded.model.config, "auto_map")


def test_every_file_of_the_tokenizer_is_checked(folder):
    path = folder / "tokenizer" / "tokenizer.json"
    path.write_text(path.read_text().replace("shoe", "boot"))
    with pytest.raises(InvalidInputError, match=r"tokenizer\.json is not the file that the bundle was written with"):
        oml.load_bundle(folder, trusted_modules=["tests.bundles"])


def test_a_config_that_the_library_cannot_read(folder):
    content = json.loads((folder / "bundle.json").read_text())
    content["extractor"]["args"]["model"]["config"]["num_attention_heads"] = 3
    (folder / "bundle.json").write_text(json.dumps(content))
    with pytest.raises(InvalidInputError, match=r"extractor: transformers \S+ cannot make BertModel from the config"):
        oml.load_bundle(folder, trusted_modules=["tests.bundles"])


def test_a_model_of_ones_own(tmp_path, extractor, tokenizer):
    class Mine(transformers.BertModel):
        pass

    with pytest.raises(InvalidInputError, match=r"Mine of tests\.bundles\.test_pretrained is no class of transformers"):
        oml.save_bundle(tmp_path / "bundle", FirstToken(Mine(extractor.model.config)), tokenizer)
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_sentence_transformers(tmp_path, tokenizer):
    from oml.models import SentenceTransformerExtractor

    extractor = SentenceTransformerExtractor.__new__(SentenceTransformerExtractor)
    with pytest.raises(InvalidInputError, match=r"made from files of its own.*Take HFWrapper\(its transformer"):
        oml.save_bundle(tmp_path / "bundle", extractor, tokenizer)
    assert list(tmp_path.iterdir()) == []

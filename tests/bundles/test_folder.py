import json
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

import oml
from oml.bundles.folder import update_metrics
from oml.errors import InvalidInputError
from oml.metrics import Estimate, Interval
from oml.models import ConvExtractor, ExtractorWithMLP, ResnetExtractor, TimmExtractor, TwoTowerExtractor, ViTExtractor
from oml.models.tuning import AdaptedExtractor, LinearAdapter, add_lora, merge_lora
from oml.transforms.images.albumentations import get_normalisation_resize_albu
from oml.transforms.images.torchvision import get_augs_torch, get_normalisation_resize_hypvit, get_normalisation_torch
from tests.bundles import own
from tests.bundles.conftest import METRICS, make_bundle, rewrite

PICTURE = Image.fromarray(np.arange(40 * 30 * 3, dtype=np.uint8).reshape(40, 30, 3))
EXTRACTORS = {
    "conv": lambda: (ConvExtractor(im_size=8, in_channels=3, channels=(4,), normalise_features=False), None),
    "resnet": lambda: (ResnetExtractor(None, "resnet18", gem_p=3.0, normalise_features=True), None),
    "resnet with fc": lambda: (ResnetExtractor(None, "resnet18", remove_fc=False), None),
    "timm": lambda: with_own_transform(TimmExtractor("test_vit", projection=7, img_size=32)),
    "timm, pooled": lambda: with_own_transform(TimmExtractor("test_resnet", pooling="max", in_chans=1)),
    "vit": lambda: (ViTExtractor(None, "vits16", normalise_features=True, use_multi_scale=True), None),
    "with mlp": lambda: (ExtractorWithMLP(ConvExtractor(8, channels=(4,)), [6, 5], train_backbone=True), None),
    "tower": lambda: (TwoTowerExtractor(own.MeanColour(2.0), own.MeanColour(1.0), projection=4).query, None),
    "own": lambda: (own.MeanColour(scale=0.5), None),
    "nested": lambda: (own.Nested(own.Nested(own.MeanColour(2.0), 4), n_features=6), None),
    "adapted": lambda: (AdaptedExtractor(own.MeanColour(2.0), LinearAdapter(3, 2, True)), None),
    "tied": lambda: (own.Tied(), None),
    "half": lambda: (own.MeanColour(scale=0.5).half(), None),
    "without weights": lambda: (own.Plain(), None),
}


def with_own_transform(extractor):
    return extractor, extractor.get_transforms()


@pytest.mark.parametrize("name", EXTRACTORS)
def test_what_comes_back_gives_the_same_embeddings(name, tmp_path):
    extractor, transform = EXTRACTORS[name]()
    side = 8 if isinstance(extractor, ConvExtractor | ExtractorWithMLP) else 48
    transform = transform or get_normalisation_resize_hypvit(side, side)
    for p in extractor.parameters():
        p.data += 0.01 * torch.randn_like(p)
    oml.save_bundle(tmp_path / "bundle", extractor, transform)
    loaded, loaded_transform, card = oml.load_bundle(tmp_path / "bundle", trusted_modules=["tests.bundles.own"])
    assert type(loaded) is type(extractor)
    assert loaded.get_init_args().keys() == extractor.get_init_args().keys()
    assert not loaded.training
    dtype = next(extractor.parameters(), torch.ones(0)).dtype
    x, loaded_x = (t(PICTURE)[None].to(dtype) for t in (transform, loaded_transform))
    assert torch.equal(x, loaded_x)
    with torch.no_grad():
        torch.testing.assert_close(loaded(loaded_x), extractor.eval()(x))
    assert (card.feat_dim, card.modality) == (extractor.feat_dim, "image")
    assert loaded.state_dict().keys() == extractor.state_dict().keys()
    assert {p.dtype for p in loaded.parameters()} == {p.dtype for p in extractor.parameters()}


def test_what_is_known_comes_back(tmp_path):
    extractor, transform, _ = make_bundle()
    config = {"optimizer": {"name": "adam", "args": {"lr": 1e-3}}, "epochs": np.int64(3), "sizes": (1, 2)}
    oml.save_bundle(
        tmp_path / "shoes",
        extractor,
        transform,
        metrics={"OVERALL": METRICS, "red": {"cmc@1": torch.tensor(0.25)}},
        threshold=0.5,
        config=config,
        labels={0: "boot", 1: "sandal"},
        license="apache-2.0",
    )
    card = oml.load_bundle(tmp_path / "shoes").card
    assert card.metrics == {"OVERALL": METRICS, "red": {"cmc@1": 0.25}}
    assert (card.threshold, card.config, card.labels) == (0.5, config, {0: "boot", 1: "sandal"})
    assert card.license == "apache-2.0"
    assert card.versions["torch"] == torch.__version__.split("+")[0]
    assert set(card.files) == {"weights.safetensors"}
    assert json.loads((tmp_path / "shoes" / "bundle.json").read_text())["registry_name"] == "conv"


def test_the_hub_understands_the_model_card(folder):
    from huggingface_hub import ModelCard

    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "open-metric-learning"
    assert "metric-learning" in card.data.tags
    assert card.data.pipeline_tag == "image-feature-extraction"
    assert [(r.metric_type, r.metric_value) for r in card.data.eval_results] == [("cmc@1", 0.75), ("map@5", 0.5)]
    assert "| cmc@1 | 0.7500 | 0.5000 to 1.0000 | 0.2500 to 1.0000 |" in card.text
    assert 'oml.load_bundle("shoes")' in card.text


def test_new_metrics_take_the_place_of_the_old_ones(folder):
    update_metrics(folder, {"cmc@1": Estimate(0.1, Interval(0.0, 0.2), None)})
    assert oml.load_bundle(folder).card.metrics == {"cmc@1": Estimate(0.1, Interval(0.0, 0.2), None)}
    assert "0.0000 to 0.2000" in (folder / "README.md").read_text()


def test_a_folder_is_not_overwritten_unless_asked(folder):
    extractor, transform, _ = make_bundle()
    before = (folder / "bundle.json").read_bytes()
    with pytest.raises(FileExistsError, match=r"shoes is there already\. .*overwrite=True"):
        oml.save_bundle(folder, extractor, transform)
    assert (folder / "bundle.json").read_bytes() == before
    (folder / "old").touch()
    oml.save_bundle(folder, extractor, transform, overwrite=True)
    assert oml.load_bundle(folder).card.metrics == {}
    assert not (folder / "old").exists()


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_only_bundles_are_overwritten(kind, tmp_path):
    extractor, transform, _ = make_bundle()
    place = tmp_path / "mine"
    (place / "diary.txt" if kind == "folder" else place).parent.mkdir(exist_ok=True)
    (place / "diary.txt" if kind == "folder" else place).write_text("dear diary")
    with pytest.raises(
        FileExistsError, match=r"mine is no bundle, and overwrite=True replaces only bundles.*delete it"
    ):
        oml.save_bundle(place, extractor, transform, overwrite=True)
    assert (place / "diary.txt" if kind == "folder" else place).read_text() == "dear diary"


def test_an_empty_folder_may_be_there(tmp_path):
    (tmp_path / "shoes").mkdir()
    extractor, transform, _ = make_bundle()
    oml.save_bundle(tmp_path / "shoes", extractor, transform, overwrite=True)
    assert oml.load_bundle(tmp_path / "shoes").card.feat_dim == 5


@pytest.mark.parametrize(
    ("extractor", "message"),
    [
        (own.Forgetful(), r"Forgetful does not keep these arguments .*: factor\. .*self\.factor = .*get_init_args"),
        (
            own.Anything(),
            r"Anything takes any arguments \(\*\*options\), so they cannot be read back\. Define Anything",
        ),
        (own.Liar(scale=3.0), r"made again from bundle\.json, gives another embedding .*Liar\.get_init_args\(\) must"),
        (own.Nested(own.Forgetful(), 3), r"Forgetful does not keep"),
    ],
)
def test_an_extractor_that_cannot_be_described(extractor, message, tmp_path):
    with pytest.raises(InvalidInputError, match=message):
        oml.save_bundle(tmp_path / "bundle", extractor, get_normalisation_resize_hypvit(8, 8))
    assert list(tmp_path.iterdir()) == []


def test_an_extractor_that_was_changed(tmp_path):
    extractor = ConvExtractor(im_size=8, channels=(3,), feat_dim=5)
    extractor.projection = torch.nn.Linear(192, 7)
    with pytest.raises(InvalidInputError, match=r"Other shape: projection\.weight .*whose layers were replaced"):
        oml.save_bundle(tmp_path / "bundle", extractor, get_normalisation_resize_hypvit(8, 8))
    assert list(tmp_path.iterdir()) == []


def test_lora_is_merged_first(tmp_path):
    extractor = TimmExtractor("test_vit", img_size=32)
    add_lora(extractor, rank=2)
    with pytest.raises(InvalidInputError, match=r"Before saving, merge LoRA with oml\.models\.tuning\.merge_lora"):
        oml.save_bundle(tmp_path / "bundle", extractor, extractor.get_transforms())
    merge_lora(extractor)
    oml.save_bundle(tmp_path / "bundle", extractor, extractor.get_transforms())
    loaded = oml.load_bundle(tmp_path / "bundle").extractor
    assert loaded.state_dict().keys() == TimmExtractor("test_vit", img_size=32).state_dict().keys()


def test_an_extractor_of_the_running_script(tmp_path):
    names = {}
    exec("from tests.bundles.own import MeanColour\nclass Mine(MeanColour): pass\n", {"__name__": "__main__"}, names)
    with pytest.raises(InvalidInputError, match=r"class Mine of __main__, which .* cannot import\. Move the class"):
        oml.save_bundle(tmp_path / "bundle", names["Mine"](1.0), get_normalisation_resize_hypvit(8, 8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (v2.Compose([get_normalisation_torch(), v2.Lambda(lambda x: x)]), r"transform\.transforms\[1\] is .*no code\."),
        (lambda image: torch.zeros(3, 8, 8), r"a function; a bundle carries no code\. Write it as a class"),
        (get_augs_torch(8), r"another result each time: it is made for training\. Give the one of validation"),
        (v2.Compose([get_normalisation_torch(), own.Secretive(0.5)]), r"made again .* gives other pixels"),
        (v2.Compose([get_normalisation_torch(), own.Mute(0.5)]), r"does not keep the argument 'factor'"),
        (v2.Resize(8), r"must give a tensor \(C, H, W\), got Image\. End it with ToTensor"),
        (get_normalisation_resize_hypvit(8, 9), r"cannot take what the transform gives .*8 x 8.*Let the transform"),
        (None, r"There is no transform, so say what the extractor takes: modality='audio'"),
    ],
)
def test_a_transform_that_cannot_be_described(transform, message, tmp_path):
    extractor = make_bundle().extractor
    with pytest.raises(InvalidInputError, match=message):
        oml.save_bundle(tmp_path / "bundle", extractor, transform)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "transform",
    [
        get_normalisation_torch(mean=(0.5,) * 3, std=(0.25,) * 3),
        get_normalisation_resize_albu(im_size=8),
        v2.Compose(
            [v2.Resize(9), v2.CenterCrop(8), v2.ToImage(), v2.ToDtype(torch.float32, scale=True), own.Darken(2)]
        ),
        v2.Compose([v2.Pad((1, 2), fill=(1, 2, 3)), get_normalisation_torch(), v2.RandomHorizontalFlip(p=0.0)]),
    ],
    ids=["norm", "albu", "v2 with an own step", "pad"],
)
def test_transforms_that_come_back(transform, tmp_path):
    oml.save_bundle(tmp_path / "bundle", own.MeanColour(1.0), transform)
    loaded = oml.load_bundle(tmp_path / "bundle", trusted_modules=["tests.bundles"])
    assert repr(loaded.transform).replace("0x", "").split("at ")[0] == repr(transform).replace("0x", "").split("at ")[0]


def test_waveforms_need_no_transform(tmp_path):
    extractor = own.Loudness(1.0)
    oml.save_bundle(tmp_path / "bundle", extractor, None, modality="audio", dataset_args={"sample_rate": 8000})
    loaded, transform, card = oml.load_bundle(tmp_path / "bundle", trusted_modules=["tests.bundles.own"])
    assert transform is None
    assert (card.modality, card.dataset_args) == ("audio", {"sample_rate": 8000})
    assert torch.equal(loaded.shift, extractor.shift)
    with pytest.raises(InvalidInputError, match=r"Unknown modality 'sound'.*audio"):
        oml.save_bundle(tmp_path / "other", extractor, None, modality="sound")


def make_diverged():
    extractor = make_bundle().extractor
    extractor.projection.weight.data[0, 0] = float("nan")
    return extractor


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": "x"}, r"threshold must be a finite number or None, got 'x'"),
        ({"threshold": float("nan")}, r"threshold must be a finite number or None, got nan"),
        ({"metrics": [0.5]}, r"metrics must be a mapping, got \[0\.5\]"),
        ({"dataset_args": [1]}, r"dataset_args must be a mapping, got \[1\]"),
        ({"license": 5}, r"license must be a text or None, got 5"),
        ({"config": {"seeds": {1, 2}}}, r"config\['seeds'\] is of the type set, which has no text of its own"),
        ({"modality": "text"}, r"cannot take what the transform gives for an example of the modality 'text': "),
        ({"modality": "audio"}, r"for an example of the modality 'audio': A picture must be a PIL image"),
        ({"modality": "image", "transform": None}, r"for an example of the modality 'image': "),
        ({"extractor": make_diverged()}, r"gives embeddings that are not finite for an example.*training has diverged"),
        (
            {"extractor": make_bundle().extractor.to("meta")},
            r"has no numbers, only shapes, .*'meta': backbone\.0\.weight",
        ),
    ],
)
def test_arguments_that_make_no_sense(arguments, message, tmp_path):
    extractor, transform, _ = make_bundle()
    with pytest.raises(InvalidInputError, match=message):
        oml.save_bundle(tmp_path / "bundle", **{"extractor": extractor, "transform": transform, **arguments})
    assert list(tmp_path.iterdir()) == []


def test_a_config_that_holds_itself(tmp_path):
    config = {"steps": []}
    config["steps"].append(config)
    extractor, transform, _ = make_bundle()
    with pytest.raises(InvalidInputError, match=r"config\['steps'\]\[0\].*Does a container hold itself\?"):
        oml.save_bundle(tmp_path / "bundle", extractor, transform, config=config)
    assert list(tmp_path.iterdir()) == []


def test_objects_in_the_config(tmp_path):
    extractor, transform, _ = make_bundle()
    with pytest.raises(InvalidInputError, match=r"config must be made of numbers, texts, lists and mappings"):
        oml.save_bundle(tmp_path / "bundle", extractor, transform, config={"darken": own.Darken(1.0)})
    with pytest.raises(InvalidInputError, match=r"metrics\['cmc@1'\] must be a number or an Estimate, got 'high'"):
        oml.save_bundle(tmp_path / "bundle", extractor, transform, metrics={"cmc@1": "high"})
    with pytest.raises(TypeError, match="extractor must be an IExtractor, got Linear"):
        oml.save_bundle(tmp_path / "bundle", torch.nn.Linear(1, 1), transform)
    assert list(tmp_path.iterdir()) == []


def test_other_versions_are_one_warning(folder):
    rewrite(folder, versions={"torch": "1.0.0", "timm": "0.1", "numpy": np.__version__})
    with pytest.warns(UserWarning, match="other versions of libraries") as caught:
        oml.load_bundle(folder)
    (warning,) = caught
    assert re.search(r"calculate otherwise: torch 1\.0\.0 -> \S+, timm 0\.1 -> .*oml validate", str(warning.message))


def test_a_bundle_can_be_moved(folder, tmp_path):
    shutil.move(folder, tmp_path / "elsewhere")
    assert oml.load_bundle(str(tmp_path / "elsewhere")).card.threshold == 0.5


def test_trusted_modules_is_a_list(folder):
    with pytest.raises(InvalidInputError, match=r"trusted_modules must be a list of names, got the text 'oml'"):
        oml.load_bundle(folder, trusted_modules="oml")


def test_unknown_names_of_the_package():
    with pytest.raises(AttributeError, match="module 'oml' has no attribute 'save_bundel'"):
        _ = oml.save_bundel
    assert "save_bundle" in dir(oml)

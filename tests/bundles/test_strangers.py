"""Bundles that are damaged, or written by somebody who means harm."""

import pytest
import torch

import oml
from oml.errors import InvalidInputError
from tests.bundles import own
from tests.bundles.conftest import rewrite


def nest(depth):
    value = 0
    for _ in range(depth):
        value = [value]
    return value


def flip_last_byte(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "no card": (lambda f: (f / "bundle.json").unlink(), FileNotFoundError, r"is no bundle: there is no file .*json"),
    "no weights": (lambda f: (f / "weights.safetensors").unlink(), FileNotFoundError, r"lacks the file weights\.saf"),
    "card cut off": (
        lambda f: (f / "bundle.json").write_text((f / "bundle.json").read_text()[:200]),
        InvalidInputError,
        r"bundle\.json is cut off or damaged: .*Fetch or save the bundle again",
    ),
    "weights cut off": (
        lambda f: (f / "weights.safetensors").write_bytes((f / "weights.safetensors").read_bytes()[:-7]),
        InvalidInputError,
        r"weights\.safetensors has \d+ bytes instead of \d+: it is cut off, or of another bundle\. Fetch",
    ),
    "weights changed": (
        lambda f: flip_last_byte(f / "weights.safetensors"),
        InvalidInputError,
        r"is not the file that the bundle was written with \(its SHA-256 differs\)",
    ),
    "foreign": (lambda f: rewrite(f, format="other"), InvalidInputError, r"'format' must be 'oml-bundle'\. Write one"),
    "a list": (lambda f: (f / "bundle.json").write_text("[]"), InvalidInputError, r"'format' must be 'oml-bundle'"),
    "later": (
        lambda f: rewrite(f, format_version=2),
        InvalidInputError,
        r"format version 2, this OML reads 1\. Install the version of OML .*: 0\.1\.0",
    ),
    "outside": (
        lambda f: rewrite(f, files={"weights.safetensors": {}, "../x": {}}),
        InvalidInputError,
        r"lists files outside its folder: \.\./x",
    ),
    "no extractor": (
        lambda f: rewrite(f, extractor={"size": 1}),
        InvalidInputError,
        r"names a dict as the extractor",
    ),
    "other arguments": (
        lambda f: rewrite(
            f, extractor={"$class": "oml.models.conv:ConvExtractor", "args": {"im_size": 8, "channels": [3, 5]}}
        ),
        InvalidInputError,
        r"weights of the bundle .* do not fit .*Other shape: ",
    ),
    "unknown argument": (
        lambda f: rewrite(f, extractor={"$class": "oml.models.conv:ConvExtractor", "args": {"size": 8}}),
        InvalidInputError,
        r"extractor: ConvExtractor cannot be made with the arguments \{'size': 8\}.*another version",
    ),
    "unknown class": (
        lambda f: rewrite(f, extractor={"$class": "oml.models.conv:Conf", "args": {}}),
        InvalidInputError,
        r"names 'oml\.models\.conv:Conf', but oml\.models\.conv has no such class",
    ),
    "unknown modality": (lambda f: rewrite(f, modality="smell"), InvalidInputError, r"Unknown modality 'smell'"),
    "files without sizes": (
        lambda f: rewrite(f, files={"weights.safetensors": 3}),
        InvalidInputError,
        r"bundle\.json must tell the size and the sha256 of weights\.safetensors, got 3\. Fetch or save",
    ),
    "no number of features": (
        lambda f: rewrite(f, feat_dim="five"),
        InvalidInputError,
        r"'feat_dim' must be a positive whole number, got five\. Fetch",
    ),
    "other number of features": (
        lambda f: rewrite(f, feat_dim=6),
        InvalidInputError,
        r"gives 5 features, but its bundle\.json tells 6",
    ),
    "no threshold": (lambda f: rewrite(f, threshold="x"), InvalidInputError, r"'threshold' must be a number or null"),
    "no metrics": (lambda f: rewrite(f, metrics=[1]), InvalidInputError, r"'metrics' must be numbers by name, or mea"),
    "no interval": (
        lambda f: rewrite(f, metrics={"a": {"mean": 1, "over_queries": None, "over_labels": None}}),
        InvalidInputError,
        r"'metrics' must be numbers by name, or means with intervals of two numbers",
    ),
    "no versions": (
        lambda f: rewrite(f, versions={"torch": 2}),
        InvalidInputError,
        r"'versions' must be texts by name",
    ),
    "no licence": (lambda f: rewrite(f, license=["mit"]), InvalidInputError, r"'license' must be a text or null"),
    "no arguments": (lambda f: rewrite(f, dataset_args=[]), InvalidInputError, r"'dataset_args' must be a mapping"),
    "no transform": (lambda f: rewrite(f, transform=5), InvalidInputError, r"names a int as the transform"),
    "no list": (lambda f: rewrite(f, labels={"$tuple": 3}), InvalidInputError, r"\$tuple with 3 instead of a list"),
    "no pairs": (lambda f: rewrite(f, labels={"$items": [[1]]}), InvalidInputError, r"labels has .*makes no sense"),
    "no tensor": (
        lambda f: rewrite(f, labels={"$tensor": [[1], [1, 2]], "dtype": "float32"}),
        InvalidInputError,
        r"labels has .*, which makes no sense: expected sequence of length 1",
    ),
    "no member": (
        lambda f: rewrite(f, transform={"$enum": "torchvision.transforms:InterpolationMode", "value": "x"}),
        InvalidInputError,
        r"makes no sense: 'x' is not a valid InterpolationMode",
    ),
    "too deep": (
        lambda f: rewrite(f, config=nest(300)),
        InvalidInputError,
        r"has values more than 100 deep in values",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_bundles(name, folder):
    damage, kind, message = DAMAGES[name]
    damage(folder)
    with pytest.raises(kind, match=message):
        oml.load_bundle(folder)


ATTACKS = {
    "a function": ({"$class": "os:system", "args": {"command": "true"}}, r"class 'os:system', whose module is not"),
    "a class": ({"$class": "subprocess:Popen", "args": {"args": ["true"]}}, r"trusted_modules=\['subprocess'\]"),
    "own class": ({"$class": "tests.bundles.own:Bomb", "args": {"command": "x"}}, r"trusted_modules=\['tests\.bund"),
    "through a trusted module": (
        {"$class": "oml.models.checkpoints:Path", "args": {}},
        r"'oml\.models\.checkpoints:Path', whose module is not trusted",
    ),
    "a function of OML": (
        {"$class": "oml.models.checkpoints:read_state_dict", "args": {"path": "/etc/passwd"}},
        r"no such class",
    ),
    "a class of OML that opens files": (
        {"$class": "oml.export.running:ProgramExtractor", "args": {"path": "evil.pt2"}},
        r"'oml\.export\.running:ProgramExtractor', whose module is not trusted",
    ),
    "inside arguments": (
        {"$class": "torchvision.transforms.v2:Compose", "args": {"transforms": [{"$class": "os:_wrap_close"}]}},
        r"whose module is not trusted",
    ),
    "an enumeration": ({"$enum": "tests.bundles.own:Bomb", "value": "x"}, r"whose module is not trusted"),
    "no enumeration": ({"$enum": "torchvision.transforms:Resize", "value": 1}, r"which is no enumeration"),
    "weights from elsewhere": (
        {"$class": "oml.models.resnet.extractor:ResnetExtractor", "args": {"weights": "/etc/passwd"}},
        r"must not name weights",
    ),
    "no model of the library": ({"$transformers": "pipeline", "config": {}}, r"the model 'pipeline', which transf"),
    "a pairwise model's weights from elsewhere": (
        {"$class": "oml.models:ConcatSiamese", "args": {"weights": "/etc/passwd"}},
        r"must not name weights",
    ),
    "a name to download a model by": (
        {"$class": "oml.models:HFWrapper", "args": {"model": "shop/evil"}},
        r"HFWrapper cannot be made .*model must be a model itself here, not a name of one, got 'shop/evil'",
    ),
    "files with code of their own": (
        {"$class": "oml.models:SentenceTransformerExtractor", "args": {"model": "evil"}},
        r"SentenceTransformerExtractor is made from files, not from plain values",
    ),
    "a repository of timm": (
        {"$class": "oml.models:TimmExtractor", "args": {"name": "hf-hub:shop/evil"}},
        r"name must be the name of an architecture of timm here, not of a repository or a folder, got 'hf-hub:shop",
    ),
    "a checkpoint of timm": (
        {"$class": "oml.models:TimmExtractor", "args": {"name": "test_vit", "checkpoint_path": "evil.pth"}},
        r"checkpoint_path is not taken, got 'evil\.pth'\. Give it as weights=, which reads it without running code",
    ),
    "a model of timm within one of transformers": (
        {"$transformers": "TimmWrapperModel", "config": {"architecture": "test_vit", "model_args": {"x": 1}}},
        r"names a model within it \(architecture, model_args\), which would be made from files of elsewhere",
    ),
    "a backbone deeper within": (
        {"$transformers": "BertModel", "config": {"parts": [{"backbone": "shop/evil"}]}},
        r"names a model within it \(backbone\)",
    ),
    "options of a constructor": (
        {"$transformers": "BertModel", "config": {}, "args": {"checkpoint_path": "evil.pth"}},
        r"may be given the options add_pooling_layer \(true or false\), got \{'checkpoint_path': 'evil\.pth'\}",
    ),
    "no path": ({"$class": "os.system", "args": {}}, r"must name a class as 'package\.module:Name', got 'os\.system'"),
}


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("place", ["extractor", "transform", "config"])
def test_nothing_of_a_stranger_is_run(name, place, folder):
    spec, message = ATTACKS[name]
    rewrite(folder, **{place: spec})
    if place == "config":
        message = "config must be made of plain values, but names an object"
    with pytest.raises(InvalidInputError, match=message):
        oml.load_bundle(folder)
    assert own.RAN == []


def test_the_attack_would_work_if_the_module_were_trusted(folder):
    steps = [ATTACKS["own class"][0]]
    rewrite(folder, transform={"$class": "torchvision.transforms.v2:Compose", "args": {"transforms": steps}})
    oml.load_bundle(folder, trusted_modules=["tests.bundles"])
    assert own.RAN == ["x"]
    own.RAN.clear()


def test_a_pickle_in_the_place_of_the_weights(folder):
    torch.save({"a": torch.zeros(1)}, folder / "weights.safetensors")
    size = (folder / "weights.safetensors").stat().st_size
    from oml.bundles.files import describe_file

    rewrite(folder, files={"weights.safetensors": describe_file(folder / "weights.safetensors")})
    assert size > 0
    with pytest.raises(InvalidInputError, match=r"is not a whole safetensors file"):
        oml.load_bundle(folder)

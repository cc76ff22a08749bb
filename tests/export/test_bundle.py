import json

import onnx
import pandas as pd
import pytest
import torch
from torchvision.transforms import v2

from oml.bundles import Bundle, Card
from oml.bundles.data import make_dataset
from oml.errors import InvalidInputError
from oml.export import OnnxExtractor, Parity, ParityError, ProgramExtractor, export_bundle
from oml.export import bundle as exporting
from oml.export.graph import ENDINGS
from oml.export.parity import calc_cosines, calc_parity
from oml.inference import inference
from oml.metrics import Comparison, Interval
from oml.transforms.images.torchvision import get_normalisation_resize_hypvit, get_normalisation_torch
from tests.bundles.own import Darken, MeanColour
from tests.full_disk import limit_files


@pytest.mark.parametrize(
    ("to", "precision", "with_preprocessing", "min_cosine"),
    [
        ("onnx", "fp32", True, 0.999999),
        ("onnx", "fp16", True, 0.99999),
        ("onnx", "int8", False, 0.99),
        ("torch", "fp32", False, 0.999999),
        ("torch", "fp16", True, 0.99999),
    ],
)
def test_what_is_exported_does_the_same(to, precision, with_preprocessing, min_cosine, bundle, table, tmp_path):
    df, out = pd.read_csv(table), tmp_path / "out" / f"model{ENDINGS[to]}"
    parity = export_bundle(bundle, out, df, table.parent, to, precision, with_preprocessing)
    assert parity.n_items == len(df)
    assert min_cosine < parity.min_cosine <= parity.mean_cosine <= 1 + 1e-9
    assert [c.metric for c in parity.comparisons] == ["cmc@1", "map@5"]
    assert all(abs(c.difference) <= 0.01 for c in parity.comparisons)
    assert list(out.parent.iterdir()) == [out]
    assert all(p.dtype == torch.float32 for p in bundle.extractor.parameters())  # the bundle is not changed

    exported = (OnnxExtractor if to == "onnx" else ProgramExtractor)(out)
    assert exported.feat_dim == bundle.extractor.feat_dim
    dataset = make_dataset(bundle.card, bundle.transform, df, table.parent)
    assert calc_cosines(inference(bundle.extractor, dataset), run_by_hand(exported, df, table, bundle, to)).min() > 0.99


def run_by_hand(exported, df, table, bundle, to):
    """Embed as a program without OML would: by what the file says that it takes."""
    from PIL import Image
    from torchvision.transforms.v2.functional import pil_to_tensor

    pictures = [Image.open(table.parent / path).convert("RGB") for path in df["path"]]
    if to == "onnx":
        takes = json.loads({p.key: p.value for p in onnx.load(exported.path).metadata_props}["oml"])["takes"]
    else:
        takes = "0..255" if exported.program.example_inputs[0][0].dtype == torch.uint8 else "0..1"
    if takes == "0..255":
        return torch.cat([exported(pil_to_tensor(picture)[None]) for picture in pictures])
    assert takes == "0..1"
    bare = v2.Compose([v2.Resize(18, interpolation=v2.InterpolationMode.BICUBIC), v2.CenterCrop(16)])
    return exported(torch.stack([pil_to_tensor(bare(picture)).float() / 255 for picture in pictures]))


def test_a_file_that_departs_too_far_is_thrown_away(bundle, table, tmp_path, monkeypatch):
    out = tmp_path / "model.onnx"
    out.write_text("the one before")

    def spoil(bundle, *args):
        spoilt = Bundle(MeanColour(scale=-1.0), bundle.transform, bundle.card)
        return write(spoilt, *args)

    write = exporting.write_graph
    monkeypatch.setattr(exporting, "write_graph", spoil)
    with pytest.raises(ParityError, match=r"gives embeddings \[12, 3\] instead of \[12, 8\]"):
        export_bundle(bundle, out, pd.read_csv(table), table.parent)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("model.onnx", "the one before")]
    monkeypatch.setattr(exporting, "write_graph", lambda bundle, *args: write(distort(bundle), *args))
    with pytest.raises(
        ParityError,
        match=r"(?s)thrown away.*smallest cosine is 0\.\d+, under 0\.9999.*--min-cosine.*12 items; cos",
    ):
        export_bundle(bundle, out, pd.read_csv(table), table.parent)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("model.onnx", "the one before")]


def distort(bundle):
    import copy

    extractor = copy.deepcopy(bundle.extractor)
    with torch.no_grad():
        extractor.projection.weight += 0.3 * extractor.projection.weight.flip(0)
    return Bundle(extractor, bundle.transform, bundle.card)


@pytest.mark.parametrize(("to", "precision"), [("onnx", "int8"), ("torch", "fp32")])
def test_no_space(to, precision, bundle, table, tmp_path):
    out = tmp_path / f"model{ENDINGS[to]}"
    out.write_text("the one before")
    with (
        limit_files(3000),
        pytest.raises(OSError, match=r"There is no space for .*model\..*, so it is as it was\. Make"),
    ):
        export_bundle(bundle, out, pd.read_csv(table), table.parent, to, precision)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(out.name, "the one before")]


def test_tolerances():
    comparison = Comparison("cmc@1", 0.5, 0.6, -0.1, Interval(-0.2, 0.0), None, 0.5, None)
    parity = Parity(10, 0.99, 0.995, (comparison,))
    assert parity.find_faults(0.98, 0.1) == []
    assert parity.find_faults(0.995, 0.05) == [
        "the smallest cosine is 0.990000, under 0.995",
        "cmc@1 drops by 0.1000, over 0.05",
    ]
    assert parity.describe().splitlines()[1] == "cmc@1: 0.6000 -> 0.5000, change -0.1000 (95 %: -0.2000 to +0.0000)"


def test_embeddings_that_are_not_finite_do_not_pass(bundle, table):
    dataset = make_dataset(bundle.card, bundle.transform, pd.read_csv(table), table.parent)
    expected = torch.rand(12, 8)
    parity = calc_parity(expected, torch.where(torch.arange(12)[:, None] == 3, float("nan"), expected), dataset)
    assert parity.find_faults(0.5, 0.5) == ["the smallest cosine is nan, under 0.5"]


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (v2.Compose([v2.Pad(3), v2.Resize((16, 16)), get_normalisation_torch()]), r"the step Pad\(.*is not known"),
        (v2.Compose([v2.Resize(16), get_normalisation_torch()]), r"size of the result depends on the picture"),
        (get_normalisation_torch(), r"size of the result depends on the picture"),
        (v2.Compose([v2.Resize((16, 16)), v2.ToImage(), Darken(1.0)]), r"does not end with Normalize"),
        (
            v2.Compose([v2.Resize((16, 16), v2.InterpolationMode.NEAREST), get_normalisation_torch()]),
            r"the interpolation 'nearest' is not known",
        ),
        (v2.Compose([v2.Resize(16, max_size=32), v2.CenterCrop(16), get_normalisation_torch()]), r"max_size=32"),
    ],
)
def test_preprocessing_that_cannot_be_in_the_graph(transform, message, bundle, table, tmp_path):
    with pytest.raises(InvalidInputError, match=r"cannot be put into the graph: .*" + message + ".*without preproc"):
        export_bundle(
            Bundle(bundle.extractor, transform, bundle.card),
            tmp_path / "model.onnx",
            pd.read_csv(table),
            table.parent,
            with_preprocessing=True,
        )
    assert list(tmp_path.iterdir()) == []


def test_a_transform_without_statistics_is_left_to_the_caller(table, tmp_path):
    transform = v2.Compose([v2.Resize((16, 16)), v2.PILToTensor(), v2.ToDtype(torch.float32), Darken(0.5)])
    bundle = Bundle(MeanColour(0.1).eval(), transform, Card("image", 3))
    parity = export_bundle(bundle, tmp_path / "model.onnx", pd.read_csv(table), table.parent)
    assert parity.min_cosine > 0.999999
    (entry,) = onnx.load(tmp_path / "model.onnx").metadata_props
    assert json.loads(entry.value) == {"modality": "image", "takes": "transformed"}


class ByValue(MeanColour):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else super().forward(-x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to": "tensorrt"}, r"Unknown format of export 'tensorrt'.*Known: onnx, torch"),
        ({"precision": "int4"}, r"Unknown precision 'int4'"),
        ({"to": "torch", "precision": "int8"}, r"int8 is for ONNX only"),
        ({"to": "torch", "out": "model.onnx"}, r"The file for torch must end with \.pt2, got '.*model\.onnx'"),
    ],
)
def test_wrong_options(options, message, bundle, table, tmp_path):
    out = tmp_path / options.pop("out", f"model{ENDINGS.get(options.get('to'), '.onnx')}")
    with pytest.raises(InvalidInputError, match=message):
        export_bundle(bundle, out, pd.read_csv(table), table.parent, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_an_extractor_that_cannot_be_exported(to, table, tmp_path):
    bundle = Bundle(ByValue(1.0).eval(), get_normalisation_resize_hypvit(16, 16), Card("image", 3))
    with pytest.raises(InvalidInputError, match=rf"ByValue cannot be exported to {to}: .*must not depend on values"):
        export_bundle(bundle, tmp_path / f"model{ENDINGS[to]}", pd.read_csv(table), table.parent, to=to)
    assert list(tmp_path.iterdir()) == []


def test_preprocessing_of_texts(bundle, table, tmp_path):
    text = Bundle(bundle.extractor, lambda *args, **kwargs: {}, Card("text", 8))
    with pytest.raises(InvalidInputError, match=r"inside the graph is for pictures; the bundle takes text"):
        export_bundle(text, tmp_path / "model.onnx", pd.read_csv(table), table.parent, with_preprocessing=True)


@pytest.mark.parametrize("extractor", [OnnxExtractor, ProgramExtractor])
def test_files_that_cannot_be_run(extractor, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no file .*model\. Write it with `oml export"):
        extractor(tmp_path / "model")
    (tmp_path / "model").write_bytes(b"no model")
    with pytest.raises(InvalidInputError, match=r"model.*Export it again"):
        extractor(tmp_path / "model")

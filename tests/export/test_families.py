"""
Each family of extractors, small, is exported once to ONNX and gives the same for batches of another size.

ConvExtractor is in test_bundle.py.
"""

import pytest
import torch

from oml.bundles import Bundle, Card
from oml.export import OnnxExtractor
from oml.export.graph import Plan, write_graph
from oml.export.parity import calc_cosines
from oml.models import (
    ECAPATDNNExtractor,
    ExtractorWithMLP,
    HFWrapper,
    ResnetExtractor,
    TimmExtractor,
    ViTCLIPExtractor,
    ViTExtractor,
    ViTUnicomExtractor,
)
from oml.transforms.images.albumentations import get_normalisation_resize_albu_clip
from oml.transforms.images.torchvision import (
    get_normalisation_resize_hypvit,
    get_normalisation_resize_torch,
    get_normalisation_resize_unicom,
)

N_FEATURES = 16


def shorten(extractor, blocks: str = "blocks"):
    """Leave one block of the network, which is as good for an export as twelve."""
    setattr(extractor.model, blocks, getattr(extractor.model, blocks)[:1])
    return extractor


def make_bert():
    from transformers import BertConfig, BertModel

    size = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 60}
    return BertModel(BertConfig(hidden_size=N_FEATURES, max_position_embeddings=32, **size))


def tokenize(text, max_length, **options):
    ids = torch.arange(1, max_length + 1) % 60
    mask = (torch.arange(max_length) < max_length - 3).long()
    return {"input_ids": ids[None], "attention_mask": mask[None]}


def make_ecapa():
    from oml.models.audio.ecapa_tdnn.network import EcapaTdnn

    extractor = ECAPATDNNExtractor(None)
    extractor.model = EcapaTdnn(n_channels=16, feat_dim=8)
    return extractor


PICTURES = {
    "dino, scales, with mlp": lambda: (
        ExtractorWithMLP(shorten(ViTExtractor(None, "vits16", use_multi_scale=True)), [6, 5]),
        get_normalisation_resize_torch(48),
    ),
    "dinov2": lambda: (shorten(ViTExtractor(None, "vits14")), get_normalisation_resize_hypvit(42, 42)),
    "dinov2 reg": lambda: (shorten(ViTExtractor(None, "vits14_reg")), get_normalisation_resize_hypvit(42, 42)),
    "resnet, gem": lambda: (ResnetExtractor(None, "resnet18", gem_p=3.0), get_normalisation_resize_hypvit(36, 32)),
    "timm": lambda: with_own_transform(TimmExtractor("test_vit", img_size=32, projection=8)),
    "clip": lambda: (shorten(ViTCLIPExtractor(None, "vitb32_224")), get_normalisation_resize_albu_clip(224)),
    "unicom": lambda: (shorten(ViTUnicomExtractor(None, "vitb32_unicom", True)), get_normalisation_resize_unicom(224)),
}
OTHERS = {
    "bert": lambda: (HFWrapper(make_bert(), pooling="mean"), tokenize, "text", {"max_length": 12}),
    "ecapa": lambda: (make_ecapa(), None, "audio", {"max_num_seconds": 0.25}),
}


def with_own_transform(extractor):
    return extractor, extractor.get_transforms()


def make_bundle(name):
    if name in PICTURES:
        extractor, transform = PICTURES[name]()
        return Bundle(extractor.eval(), transform, Card("image", extractor.feat_dim))
    extractor, transform, modality, args = OTHERS[name]()
    return Bundle(extractor.eval(), transform, Card(modality, extractor.feat_dim, dataset_args=args))


def make_batch(plan, n):
    """Give n items that differ, and what the extractor itself takes for them."""
    if isinstance(plan.batch, dict):
        ids = torch.stack([plan.batch["input_ids"][0].roll(i) for i in range(n)])
        return {"input_ids": ids, "attention_mask": plan.batch["attention_mask"].expand(n, -1)}
    return torch.cat([plan.batch.roll(7 * i, dims=-1) for i in range(n)])


@pytest.mark.parametrize("name", [*PICTURES, *OTHERS])
def test_family(name, tmp_path):
    bundle = make_bundle(name)
    plan = Plan(bundle, with_preprocessing=False)
    write_graph(bundle, plan, tmp_path / "model.onnx", "onnx", "fp32")
    exported = OnnxExtractor(tmp_path / "model.onnx", n_threads=1)
    assert exported.feat_dim == bundle.extractor.feat_dim
    for n in (1, 3):
        batch = make_batch(plan, n)
        with torch.no_grad():
            expected = bundle.extractor(batch if isinstance(batch, dict) else plan.preprocessing(batch))
        assert n == 1 or not torch.allclose(expected[0], expected[1], rtol=1e-3)
        found = exported(batch)
        assert calc_cosines(expected, found).min() > 0.999999
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_texts_in_half_precision(tmp_path):
    bundle = make_bundle("bert")
    plan = Plan(bundle, with_preprocessing=False)
    write_graph(bundle, plan, tmp_path / "model.onnx", "onnx", "fp16")
    batch = make_batch(plan, 2)
    with torch.no_grad():
        expected = bundle.extractor(batch if isinstance(batch, dict) else plan.preprocessing(batch))
    found = OnnxExtractor(tmp_path / "model.onnx", n_threads=1)(batch)
    assert 0.999 < calc_cosines(expected, found).min() < 1 - 1e-9

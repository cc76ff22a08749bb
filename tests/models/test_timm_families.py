"""Members of the newer families of timm are built without memory, preprocess as timm says, and give embeddings."""

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from oml.models import TimmExtractor
from oml.models.tuning import get_layer_decay_groups, set_gradient_checkpointing

# Name, D, side of the images, statistics of the channels are ImageNet's.
FAMILIES = [
    ("vit_small_patch16_dinov3.lvd1689m", 384, 256, True),
    ("vit_base_patch16_siglip_224.v2_webli", 768, 224, False),
    ("eva02_base_patch16_clip_224.merged2b", 768, 224, False),
    ("vit_pe_core_tiny_patch16_384.fb", 192, 384, False),
    ("fastvit_mci0.apple_mclip", 1024, 256, False),
    ("convnext_nano.in12k_ft_in1k", 640, 224, True),
    ("vit_small_patch14_reg4_dinov2.lvd142m", 384, 518, True),
    ("vit_base_patch32_clip_quickgelu_224.openai", 768, 224, False),
]


@pytest.mark.parametrize(("name", "dim", "size", "is_imagenet"), FAMILIES, ids=[name for name, *_ in FAMILIES])
def test_family(name: str, dim: int, size: int, is_imagenet: bool) -> None:
    with torch.device("meta"):
        extractor = TimmExtractor(name).train()
        set_gradient_checkpointing(extractor)
        embeddings = extractor(torch.zeros(2, 3, size, size))
    assert embeddings.shape == (2, extractor.feat_dim) == (2, dim)
    embeddings.sum().backward()
    assert all(p.grad is not None for p in extractor.parameters())

    config = timm.get_pretrained_cfg(name)
    grey = Image.fromarray(np.full((600, 800), 51, dtype=np.uint8))
    pixels = extractor.get_transforms()(grey)
    assert pixels.shape == (3, size, size) == (3, *config.input_size[1:])
    expected = (0.2 - torch.tensor(config.mean)) / torch.tensor(config.std)
    torch.testing.assert_close(pixels[:, 1, 2], expected, atol=1e-5, rtol=1e-5)
    assert (tuple(config.mean) == (0.485, 0.456, 0.406)) is is_imagenet

    groups = get_layer_decay_groups(extractor, lr=1.0, decay=0.9)
    assert sorted(id(p) for g in groups for p in g["params"]) == sorted(id(p) for p in extractor.parameters())
    assert len({g["lr"] for g in groups}) > 10

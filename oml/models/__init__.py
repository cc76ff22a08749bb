"""Models that turn inputs into embeddings."""

from oml.models.conv import ConvExtractor
from oml.models.resnet.extractor import ResnetExtractor
from oml.models.timm_extractor import TimmExtractor
from oml.models.vit_dino.extractor import ViTExtractor

__all__ = ["ConvExtractor", "ResnetExtractor", "TimmExtractor", "ViTExtractor"]

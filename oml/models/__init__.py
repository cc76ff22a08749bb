"""Models that turn inputs into embeddings."""

from oml.models.resnet.extractor import ResnetExtractor
from oml.models.timm_extractor import TimmExtractor
from oml.models.vit_dino.extractor import ViTExtractor

__all__ = ["ResnetExtractor", "TimmExtractor", "ViTExtractor"]

"""Models that turn inputs into embeddings."""

from oml.models.audio.ecapa_tdnn.extractor import ECAPATDNNExtractor
from oml.models.conv import ConvExtractor
from oml.models.meta.projection import ExtractorWithMLP
from oml.models.meta.siamese import ConcatSiamese, LinearTrivialDistanceSiamese, TrivialDistanceSiamese
from oml.models.meta.two_towers import TwoTowerExtractor
from oml.models.resnet.extractor import ResnetExtractor
from oml.models.texts.characters import CharExtractor
from oml.models.texts.huggingface import HFWrapper
from oml.models.texts.sentence_transformers import SentenceTransformerExtractor
from oml.models.timm_extractor import TimmExtractor
from oml.models.vit_clip.extractor import ViTCLIPExtractor
from oml.models.vit_dino.extractor import ViTExtractor
from oml.models.vit_unicom.extractor import ViTUnicomExtractor

__all__ = [
    "CharExtractor",
    "ConcatSiamese",
    "ConvExtractor",
    "ECAPATDNNExtractor",
    "ExtractorWithMLP",
    "HFWrapper",
    "LinearTrivialDistanceSiamese",
    "ResnetExtractor",
    "SentenceTransformerExtractor",
    "TimmExtractor",
    "TrivialDistanceSiamese",
    "TwoTowerExtractor",
    "ViTCLIPExtractor",
    "ViTExtractor",
    "ViTUnicomExtractor",
]

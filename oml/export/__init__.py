from oml.export.bundle import export_bundle
from oml.export.parity import Parity, ParityError
from oml.export.running import OnnxExtractor, ProgramExtractor

__all__ = ["OnnxExtractor", "Parity", "ParityError", "ProgramExtractor", "export_bundle"]

"""OML: train, validate and ship models that produce embeddings."""

__version__ = "0.1.0"

"""Tokenizers that need no vocabulary."""

from oml.retrieval.backends.base import Exact, ISearchBackend
from oml.retrieval.backends.faiss import Faiss
from oml.retrieval.backends.recall import calc_recall

__all__ = ["Exact", "Faiss", "ISearchBackend", "calc_recall"]

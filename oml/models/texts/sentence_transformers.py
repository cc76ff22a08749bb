"""Models of sentence-transformers as extractors."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from oml.errors import InvalidInputError, check
from oml.interfaces.models import IExtractor
from oml.models.texts.huggingface import HFWrapper
from oml.models.texts.tokens import read_tokens

_OLD_NAME = "get_sentence_embedding_dimension"
_POOLINGS = {"mean": "mean", "cls": "cls", "lasttoken": "last_token"}  # of sentence-transformers and of HFWrapper


class SentenceTransformerExtractor(IExtractor):
    """
    Gives the embeddings (B, D) that a model of sentence-transformers gives by `model.encode`.

    It takes what the model's own tokenizer gives, a mapping with `input_ids` (B, L) and `attention_mask` (B, L): make
    datasets of texts with `extractor.tokenizer` and `max_length=extractor.max_length`. Padding may stand on either side
    and changes nothing. What the model expects in front of a text (a prompt, an instruction) belongs into the text.

    Args:
        model: A `SentenceTransformer`; or the name or the folder of one, which is loaded by it (a name is downloaded).

    Raises:
        ImportError: a name or a folder is given, and sentence-transformers is not installed.
        InvalidInputError: the model does not tell the size of its embeddings.

    """

    def __init__(self, model: nn.Module | str | Path):
        super().__init__()
        self.model: Any = _load(model) if isinstance(model, str | Path) else model
        # the newer name; version 6 warns about the older one
        name = "get_embedding_dimension" if hasattr(self.model, "get_embedding_dimension") else _OLD_NAME
        feat_dim = getattr(self.model, name)()
        check(
            feat_dim is not None,
            "The model of sentence-transformers does not tell the size of its embeddings. Put a Pooling module after "
            "its transformer.",
        )
        self._feat_dim = int(feat_dim)

    @property
    def feat_dim(self) -> int:
        """Give the number of features D."""
        return self._feat_dim

    def get_init_args(self) -> dict[str, Any]:
        """
        Refuse: a model of sentence-transformers is made from files of its own, not from plain values.

        Raises:
            InvalidInputError: always.

        """
        raise InvalidInputError(
            "A model of sentence-transformers is made from files of its own, so SentenceTransformerExtractor cannot be "
            "written down by plain values, as a bundle needs it. Take HFWrapper(its transformer, ...), which gives the "
            "same embeddings: extractor.as_hf_wrapper() makes it."
        )

    def as_hf_wrapper(self) -> HFWrapper:
        """
        Give the same extractor without sentence-transformers: what a bundle carries. Weights are shared.

        It goes with `extractor.tokenizer`, and `max_length=extractor.max_length` as an argument of data sets.

        Raises:
            InvalidInputError: the model is not made of a transformer, its pooling (mean, first or last token) and
                perhaps a normalisation.

        """
        modules = list(self.model)
        kinds = [type(module).__name__ for module in modules]
        transformer: Any = next((child for child in modules[0].children() if hasattr(child, "config")), None)
        mode = _read_pooling_mode(modules[1]) if len(modules) > 1 else None
        cure = (
            f"Only a transformer with pooling (of {', '.join(_POOLINGS)}), whole embeddings and perhaps Normalize is "
            f"an HFWrapper; this is {', '.join(kinds)} with pooling {mode!r} and {self.feat_dim} features. Write an "
            "extractor of your own around such a model."
        )
        check(transformer is not None and kinds[1:] in (["Pooling"], ["Pooling", "Normalize"]), cure)
        check(mode in _POOLINGS, cure)
        wrapper = HFWrapper(transformer, pooling=_POOLINGS[str(mode)], normalise_features=kinds[-1] == "Normalize")
        check(wrapper.feat_dim == self.feat_dim, cure)
        return wrapper

    @classmethod
    def from_init_args(cls, **args: Any) -> IExtractor:
        """
        Refuse, as `get_init_args` does: the files of a model may bring code.

        Raises:
            InvalidInputError: always.

        """
        raise InvalidInputError(f"SentenceTransformerExtractor is made from files, not from plain values, got {args}.")

    @property
    def tokenizer(self) -> Any:
        """Give the tokenizer that belongs to the model."""
        return self.model.tokenizer

    @property
    def max_length(self) -> int:
        """Give the number of tokens at which the model cuts texts."""
        return int(self.model.max_seq_length)

    def forward(self, x: Any) -> Tensor:
        """
        Give the embeddings (B, D) of a batch of tokens.

        Raises:
            InvalidInputError: the batch is not what a tokenizer gives.

        """
        tokens = read_tokens(x, owner="SentenceTransformerExtractor")
        if not tokens.ids.numel():
            return torch.zeros(len(tokens.ids), self.feat_dim, device=tokens.ids.device)
        output = self.model({"input_ids": tokens.ids, "attention_mask": tokens.mask})
        features: Tensor = output["sentence_embedding"]
        return features[:, : self.feat_dim]  # shorter where the model has a `truncate_dim`


def _read_pooling_mode(pooling: Any) -> Any:
    # older versions keep a flag for each mode instead
    return pooling.pooling_mode if hasattr(pooling, "pooling_mode") else getattr(pooling, "get_pooling_mode_str", str)()


def _load(name: str | Path) -> nn.Module:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ImportError(
            "SentenceTransformerExtractor needs sentence-transformers: pip install sentence-transformers."
        ) from error
    model: nn.Module = SentenceTransformer(str(name))
    return model

"""Text models of transformers as extractors."""

import inspect
from pathlib import Path
from typing import Any
from warnings import warn

import torch
from torch import Tensor, nn

from oml.errors import InvalidInputError, check, unknown_name_message
from oml.functional.distances import normalise
from oml.interfaces.models import IExtractor
from oml.models.texts.tokens import POOLINGS, pool_tokens, read_tokens

_STATES = "last_hidden_state"
# Encoders that put a token for the whole text first and train it; also their subclasses.
_WITH_CLS = ("BertModel", "DistilBertModel", "RobertaModel")


class HFWrapper(IExtractor):
    """
    Gives the vector of one token, or the mean over all tokens, of a model of transformers as the embedding (B, D).

    It takes what a tokenizer gives, a mapping with `input_ids` (B, L) and `attention_mask` (B, L). Padding may stand on
    either side and changes nothing; a text without a token has the embedding 0.

    Args:
        model: A model whose output has `last_hidden_state` (B, L, D), as those of `AutoModel.from_pretrained` have; or
            the name or the folder of one, which is loaded by it (a name is downloaded).
        feat_dim: The number of features D; None reads it from the model's config.
        pooling: `cls`, the first token: for encoders of the kind of BERT; `mean`, over all tokens; `last_token`: for
            decoders, whose last token alone has seen the whole text.
        normalise_features: Whether embeddings are scaled to unit length; a zero embedding stays zero.

    Raises:
        InvalidInputError: the pooling is unknown, the model gives other outputs, or D is not what it gives.
        ImportError: a name or a folder is given, and transformers is not installed.

    Warns:
        UserWarning: as `check_model_type`, with the pooling `cls`.

    Example:
        >>> import torch
        >>> from transformers import BertConfig, BertModel
        >>> size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
        >>> extractor = HFWrapper(BertModel(BertConfig(vocab_size=20, **size))).eval()
        >>> extractor({"input_ids": torch.tensor([[1, 2, 3]]), "attention_mask": torch.ones(1, 3)}).shape
        torch.Size([1, 8])

    """

    def __init__(
        self,
        model: nn.Module | str | Path,
        feat_dim: int | None = None,
        pooling: str = "cls",
        normalise_features: bool = False,
    ):
        super().__init__()
        check(pooling in POOLINGS, unknown_name_message("pooling of HFWrapper", pooling, POOLINGS))
        self.model = _load(model) if isinstance(model, str | Path) else model
        self.pooling = pooling
        self.normalise_features = normalise_features
        taken = inspect.signature(self.model.forward).parameters
        check(
            "decoder_input_ids" not in taken,
            f"{type(self.model).__name__} has an encoder and a decoder. Give only the first: model.get_encoder().",
        )
        # keys and values of tokens are of use only to who goes on writing
        self._options = {"use_cache": False} if "use_cache" in taken else {}
        self._feat_dim = _read_feat_dim(self.model) if feat_dim is None else feat_dim
        if pooling == "cls":
            check_model_type(self.model)

    @property
    def feat_dim(self) -> int:
        """Give the number of features D."""
        return self._feat_dim

    @classmethod
    def from_init_args(cls, **args: Any) -> IExtractor:
        """
        Make the extractor from what `get_init_args` gives.

        Raises:
            InvalidInputError: the model is the name or the folder of one, which would be fetched or opened.

        """
        model = args.get("model")
        check(isinstance(model, nn.Module), f"model must be a model itself here, not a name of one, got {model!r}.")
        return cls(**args)

    def forward(self, x: Any) -> Tensor:
        """
        Give the embeddings (B, D) of a batch of tokens.

        Raises:
            InvalidInputError: the batch is not what a tokenizer gives.

        """
        tokens = read_tokens(x, owner="HFWrapper")
        if not tokens.ids.numel():
            return torch.zeros(len(tokens.ids), self.feat_dim, device=tokens.ids.device)
        output = self.model(tokens.ids, attention_mask=tokens.mask, **self._options)
        check(
            _STATES in output,
            f"{type(self.model).__name__} gives {', '.join(output)}, but no {_STATES}. Give the bare model without a "
            f"head, such as AutoModel.from_pretrained(...).",
        )
        features = pool_tokens(output[_STATES], tokens.mask, self.pooling)
        check(
            features.shape[1] == self.feat_dim,
            f"{type(self.model).__name__} gives embeddings of {features.shape[1]} features, but feat_dim="
            f"{self.feat_dim}. Leave feat_dim out, or give {features.shape[1]}.",
        )
        return normalise(features) if self.normalise_features else features

    def extra_repr(self) -> str:
        """Give the options for printing."""
        return f"feat_dim={self.feat_dim}, pooling={self.pooling!r}, normalise_features={self.normalise_features}"


def check_model_type(model: nn.Module) -> None:
    """
    Warn if a model is not known to have a first token that stands for the whole text.

    Warns:
        UserWarning: the model is none of BERT, RoBERTa, DistilBERT and their subclasses.

    """
    if not {parent.__name__ for parent in type(model).__mro__} & set(_WITH_CLS):
        warn(
            f"{type(model).__name__} is none of {', '.join(_WITH_CLS)}, so its first token may not stand for the whole "
            f"text. If it does not, use HFWrapper(model, pooling='mean'), or 'last_token' for decoders.",
            stacklevel=2,
        )


def _load(name: str | Path) -> nn.Module:
    try:
        from transformers import AutoModel
    except ImportError as error:
        raise ImportError("Text models need transformers: pip install open-metric-learning[nlp].") from error
    model: nn.Module = AutoModel.from_pretrained(name)
    return model


def _read_feat_dim(model: nn.Module) -> int:
    config: Any = getattr(model, "config", None)
    if hasattr(config, "get_text_config"):  # of a model that takes more than texts
        config = config.get_text_config()
    size = getattr(config, "hidden_size", None)
    if size is None:
        raise InvalidInputError(
            f"The config of {type(model).__name__} does not tell the number of features. Give it as "
            f"HFWrapper(model, feat_dim=...)."
        )
    return int(size)

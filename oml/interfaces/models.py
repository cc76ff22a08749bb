"""What a model must offer: an extractor gives embeddings, a pairwise model compares two items."""

import inspect
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from oml.errors import check, unknown_name_message


class IExtractor(nn.Module, ABC):
    """A model that turns a batch of inputs into embeddings (B, D)."""

    pretrained_models: ClassVar[dict[str, Any]] = {}

    def extract(self, x: Any) -> Tensor:
        """Give the embeddings (B, D) of the batch."""
        features: Tensor = self.forward(x)
        return features

    @property
    @abstractmethod
    def feat_dim(self) -> int:
        """Give the number of features D."""

    @classmethod
    def from_pretrained(cls, weights: str, **kwargs: Any) -> "IExtractor":
        """
        Make the extractor with published weights and the constructor's arguments that belong to them.

        Args:
            weights: A key of `pretrained_models`.
            **kwargs: Arguments of the constructor that override the ones of the record.

        Raises:
            KeyError: the key is unknown.

        """
        if weights not in cls.pretrained_models:
            raise KeyError(unknown_name_message(f"weights of {cls.__name__}", weights, list(cls.pretrained_models)))
        init_args = {**cls.pretrained_models[weights]["init_args"], **kwargs}
        return cls(weights=weights, **init_args)

    def get_init_args(self) -> dict[str, Any]:
        """
        Give the arguments of the constructor that make this extractor again, apart from its weights.

        Each argument is read from the attribute of its name. A class that keeps one under another name, or takes
        `**kwargs`, defines this method itself.

        Raises:
            InvalidInputError: an argument has no attribute of its name, or may be any.

        """
        owner = type(self).__name__
        cure = f"Define {owner}.get_init_args() to give the constructor's arguments by name."
        names = []
        for name, parameter in inspect.signature(type(self)).parameters.items():
            is_named = parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            check(is_named, f"{owner} takes any arguments ({parameter}), so they cannot be read back. {cure}")
            names += [name] if name != "weights" else []
        missing = [name for name in names if not hasattr(self, name)]
        check(
            not missing,
            f"{owner} does not keep these arguments of its constructor under their names: {', '.join(missing)}. Keep "
            f"each as an attribute (self.{missing[0] if missing else ''} = ...). {cure}",
        )
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_init_args(cls, **args: Any) -> "IExtractor":
        """
        Make the extractor from what `get_init_args` gives, with random weights, as a bundle does it.

        Arguments may come from a stranger. So a class whose constructor may open or fetch something by a name defines
        this method itself, and refuses that.

        Args:
            **args: The arguments of the constructor, apart from the weights.

        """
        takes_weights = "weights" in inspect.signature(cls).parameters
        return cls(**args, **({"weights": None} if takes_weights else {}))


class IFreezable:
    """A model whose backbone can be frozen for a while."""

    def freeze(self) -> None:
        """Stop training the backbone."""
        raise NotImplementedError(f"{type(self).__name__} does not define freeze().")

    def unfreeze(self) -> None:
        """Train the backbone again."""
        raise NotImplementedError(f"{type(self).__name__} does not define unfreeze().")


class IPairwiseModel(nn.Module, ABC):
    """A model that compares two items."""

    @abstractmethod
    def forward(self, x1: Any, x2: Any) -> Tensor:
        """Give what the training criterion takes, (B,)."""

    @abstractmethod
    def predict(self, x1: Any, x2: Any) -> Tensor:
        """Give how distant the items of each pair are, (B,): bigger is more distant."""

"""What models around an extractor share: it can be frozen, and a checkpoint holds both."""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from oml.interfaces.models import IExtractor, IFreezable
from oml.models.checkpoints import TStateDict, find_weights, load_weights


class WithBackbone(nn.Module, IFreezable):
    """
    A model around an extractor, the backbone.

    While the backbone is frozen it is calculated without gradients, so its weights get none; its layers still know
    whether they are in training mode, so dropout drops and batch normalisation collects statistics.

    Args:
        extractor: The backbone.
        train_backbone: Whether to begin with a backbone that is not frozen.

    """

    def __init__(self, extractor: IExtractor, train_backbone: bool):
        super().__init__()
        self.extractor = extractor
        self.train_backbone = train_backbone

    def freeze(self) -> None:
        """Stop training the backbone."""
        self.train_backbone = False

    def unfreeze(self) -> None:
        """Train the backbone again."""
        self.train_backbone = True

    def extract_by_backbone(self, x: Any) -> Tensor:
        """Give what the backbone gives, (B, D), with gradients if it is trained and gradients are wanted at all."""
        with torch.set_grad_enabled(self.train_backbone and torch.is_grad_enabled()):
            features: Tensor = self.extractor(x)
        return features

    def load(self, weights: str | Path | None) -> None:
        """
        Fill the whole model from a checkpoint of it, whose names may have any prefix; None leaves it as it is.

        The network inside of the extractor may have its published names, as in checkpoints of Open Metric Learning.

        Raises:
            FileNotFoundError: there is no such checkpoint.
            InvalidInputError: it does not fit the model.

        """
        if weights is not None:
            load_weights(self, find_weights(weights, owner=type(self)), "extractor.", self._rename_networks)

    def _rename_networks(self, state_dict: TStateDict) -> TStateDict:
        for name, module in self.named_modules():
            rename = getattr(sys.modules.get(type(module).__module__), "published_to_timm", None)
            if rename is not None:
                start = f"{name}."
                names = [n for n in state_dict if n.startswith(start)]
                renamed = rename({n[len(start) :]: state_dict.pop(n) for n in names})
                state_dict |= {start + n: tensor for n, tensor in renamed.items()}
        return state_dict

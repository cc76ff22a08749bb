"""What a user may have written: extractors and transforms outside of OML."""

import torch
from torch import Tensor, nn

from oml.interfaces.models import IExtractor


class MeanColour(IExtractor):
    def __init__(self, scale: float, weights: str | None = None):
        super().__init__()
        self.scale = scale
        self.shift = nn.Parameter(torch.rand(3))

    @property
    def feat_dim(self) -> int:
        return 3

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3)) * self.scale + self.shift


class Plain(MeanColour):
    """Has nothing to be trained."""

    def __init__(self):
        super().__init__(scale=1.0)
        del self.shift

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


class Tied(MeanColour):
    """Has one weight under two names."""

    def __init__(self):
        super().__init__(scale=1.0)
        self.same = self.shift

    def get_init_args(self):
        return {}


class Loudness(MeanColour):
    def forward(self, x: Tensor) -> Tensor:
        return x.square().mean(dim=2) * self.scale + self.shift


class Nested(IExtractor):
    def __init__(self, extractor: IExtractor, n_features: int):
        super().__init__()
        self.extractor = extractor
        self.n_features = n_features
        self.head = nn.Linear(extractor.feat_dim, n_features)

    @property
    def feat_dim(self) -> int:
        return self.n_features

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.extractor(x))


class Forgetful(MeanColour):
    """Keeps its argument under another name."""

    def __init__(self, factor: float = 2.0):
        super().__init__(scale=factor)


class Liar(MeanColour):
    """Tells another argument than it works with."""

    def get_init_args(self):
        return {"scale": 1.0}


class Anything(MeanColour):
    def __init__(self, **options):
        super().__init__(scale=1.0)


class Darken:
    def __init__(self, factor: float):
        self.factor = factor

    def __call__(self, tensor: Tensor) -> Tensor:
        return tensor * self.factor


class Secretive:
    """Keeps something else than it was given."""

    def __init__(self, factor: float):
        self.factor = factor / 2

    def __call__(self, tensor: Tensor) -> Tensor:
        return tensor * self.factor


class Mute:
    def __init__(self, factor: float):
        self._hidden = factor

    def __call__(self, tensor: Tensor) -> Tensor:
        return tensor


RAN: list[str] = []


class Bomb:
    """Notes that it was constructed: what a stranger's bundle must not achieve."""

    def __init__(self, command: str):
        RAN.append(command)

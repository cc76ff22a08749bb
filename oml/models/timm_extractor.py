"""Any image model of timm as an extractor, together with its own preprocessing."""

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from oml.errors import InvalidInputError, check, unknown_name_message
from oml.functional.distances import normalise
from oml.interfaces.models import IExtractor
from oml.models.building import build_network
from oml.models.checkpoints import TStateDict, describe_difference, fill, find_weights, load_weights
from oml.models.inputs import check_images

if TYPE_CHECKING:
    from PIL.Image import Image
    from torchvision.transforms import Compose


class TimmExtractor(IExtractor):
    """
    Gives the pooled features of an image model of timm, without its classifier, as the embedding (B, D).

    Args:
        name: The model's name in timm, with or without the tag of its weights: `"vit_small_patch16_224.dino"`.
        weights: None for random weights; `"timm"` for the ones that belong to the name (timm downloads them); or the
            path of a checkpoint in timm's naming, in the published one if timm can convert it, or saved by this class;
            bare or in a training checkpoint (`{"state_dict": ...}`) with any prefix.
        pooling: What makes one vector of the map of features or tokens, timm's `global_pool`: `avg`, `max`, `avgmax`,
            for convolutional models also `catavgmax`, for transformers `token` (CLS) and `map` (attention); None is
            the model's own.
        projection: The number of features of a linear layer put on top (trained from scratch unless the checkpoint has
            it); None puts none.
        normalise_features: Whether embeddings are scaled to unit length; a zero embedding stays zero.
        **kwargs: Arguments of `timm.create_model`, such as `in_chans=1`, `img_size=32`, `dynamic_img_size=True`.

    Raises:
        InvalidInputError: the name or an argument is unknown, or the checkpoint does not fit the model.
        FileNotFoundError: there is no such checkpoint.

    Example:
        >>> import torch
        >>> extractor = TimmExtractor("test_vit", img_size=32, in_chans=1).eval()
        >>> extractor(torch.zeros(2, 1, 32, 32)).shape, extractor.feat_dim
        (torch.Size([2, 64]), 64)

    """

    model: Any  # a model of timm
    pretrained_models: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        name: str,
        weights: str | Path | None = None,
        pooling: str | None = None,
        projection: int | None = None,
        normalise_features: bool = False,
        **kwargs: Any,
    ):
        super().__init__()
        check(pooling != "", "pooling='' would give no embeddings but a map of features. Use 'avg', 'token' or None.")
        check(
            projection is None or projection > 0,
            f"projection must be a positive number of features, or None to have none, got {projection}.",
        )
        check(
            "checkpoint_path" not in kwargs,
            f"checkpoint_path is not taken, got {kwargs.get('checkpoint_path')!r}. Give it as weights=, which reads it "
            "without running code.",
        )
        use_timm = weights == "timm"
        path = None if weights is None or use_timm else find_weights(weights, owner=type(self))
        self.name = name
        self.pooling = pooling
        self.normalise_features = normalise_features
        self.timm_kwargs = kwargs
        pooled = {} if pooling is None else {"global_pool": pooling}
        make = partial(_create_model, name, pretrained=use_timm, **pooled, **kwargs)
        self.model = build_network(make, is_filled_later=path is not None)
        n_features = int(self.model.head_hidden_size)
        self.projection = nn.Linear(n_features, projection) if projection else nn.Identity()
        self._feat_dim = projection or n_features
        if path is not None:
            self._load(path)

    @property
    def feat_dim(self) -> int:
        """Give the number of features D."""
        return self._feat_dim

    def get_init_args(self) -> dict[str, Any]:
        """Give the arguments of the constructor, apart from the weights."""
        projection = self._feat_dim if isinstance(self.projection, nn.Linear) else None
        own = {"name": self.name, "pooling": self.pooling, "projection": projection}
        return {**own, "normalise_features": self.normalise_features, **self.timm_kwargs}

    @classmethod
    def from_init_args(cls, **args: Any) -> IExtractor:
        """
        Make the extractor from what `get_init_args` gives.

        Raises:
            InvalidInputError: the name is one of a repository or a folder, which would be fetched or opened.

        """
        name = args.get("name")
        check(
            isinstance(name, str) and ":" not in name,
            f"name must be the name of an architecture of timm here, not of a repository or a folder, got {name!r}.",
        )
        return cls(**args)

    def forward(self, x: Tensor) -> Tensor:
        """Give the embeddings (B, D) of the images (B, C, H, W)."""
        check_images(x, self._n_channels, owner=f"TimmExtractor({self.name!r})")
        features: Tensor = self.projection(self.model(x))
        return normalise(features) if self.normalise_features else features

    def get_transforms(self, is_training: bool = False, im_size: int | None = None) -> "Compose":
        """
        Give the preprocessing that belongs to the model: from an image of Pillow to a tensor (C, H, W).

        Size, crop, interpolation and statistics are the ones the weights were trained with. For a model of one channel
        the image is turned to greyscale and the statistics are averaged over the channels.

        Args:
            is_training: Whether to augment (timm's random crop, flip and colours) instead of cropping the centre.
            im_size: The side of the tensor in pixels; by default the `img_size` the model was made with, or its own.

        Raises:
            InvalidInputError: the model takes neither one nor three channels.

        """
        from timm.data.config import resolve_model_data_config
        from timm.data.transforms_factory import create_transform
        from torchvision.transforms import Compose

        check(
            self._n_channels in (1, 3),
            f"TimmExtractor({self.name!r}) takes {self._n_channels} channels, but preprocessing is known for 1 and 3 "
            f"only. Write a transform of your own.",
        )
        config: dict[str, Any] = resolve_model_data_config(self.model)  # type: ignore[no-untyped-call]
        size = im_size or self.timm_kwargs.get("img_size")
        h, w = config["input_size"][-2:] if size is None else (size, size) if isinstance(size, int) else size
        config["input_size"] = (self._n_channels, h, w)
        if self._n_channels == 1:
            for statistic in ("mean", "std"):
                config[statistic] = (sum(config[statistic]) / len(config[statistic]),)
        transform = create_transform(**config, is_training=is_training)
        return Compose([ConvertImage("L" if self._n_channels == 1 else "RGB"), *transform.transforms])

    @property
    def _n_channels(self) -> int:
        return int(self.timm_kwargs.get("in_chans", self.model.pretrained_cfg["input_size"][0]))

    def _load(self, path: Path) -> None:
        trial_key = next(iter(self.model.state_dict()))
        head: TStateDict = {}

        def split_off_projection(state_dict: TStateDict) -> TStateDict:
            # In a checkpoint of this class the projection lies beside the model, under the same prefix.
            anchor = f"model.{trial_key}"
            prefix = next((n[: -len(anchor)] for n in state_dict if n.endswith(anchor)), "") + "projection."
            if isinstance(self.projection, nn.Linear):
                names = [n for n in state_dict if n.startswith(prefix)]
                head.update({n[len(prefix) :]: state_dict.pop(n) for n in names})
            return state_dict

        def convert(state_dict: TStateDict) -> TStateDict:
            return convert_to_timm(state_dict, self.model)

        load_weights(self.model, path, trial_key, convert, select=split_off_projection)
        if head:
            fill(self.projection, head, path)


def convert_to_timm(state_dict: TStateDict, model: Any) -> TStateDict:
    """
    Give published weights under the names and in the shapes of a timm model; what already fits stays as it is.

    The rules are timm's own: its filter of the model's family; a classifier that the model does not have is dropped;
    the first convolution is adapted to the number of channels.
    """
    if not describe_difference(state_dict, model):
        return state_dict
    from timm.models import adapt_input_conv

    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    own = model.state_dict()
    converted = dict(convert(state_dict, model) if convert else state_dict)
    for layer in _as_tuple(model.pretrained_cfg.get("classifier")):
        for name in (f"{layer}.weight", f"{layer}.bias"):
            if name not in own:
                converted.pop(name, None)
    for layer in _as_tuple(model.pretrained_cfg.get("first_conv")):
        name = f"{layer}.weight"
        if name in own and name in converted and converted[name].ndim == 4:
            n_channels = own[name].shape[1]
            if converted[name].shape[1] != n_channels:
                converted[name] = adapt_input_conv(n_channels, converted[name], converted[name].shape[1])
    return converted


def _create_model(name: str, pretrained: bool, **kwargs: Any) -> Any:
    import timm
    from huggingface_hub.errors import HfHubHTTPError

    arch = name.split(".")[0]
    check(":" in name or timm.is_model(arch), unknown_name_message("model of timm", arch, _similar_models(arch)))
    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=0, **kwargs)
    except (TypeError, AssertionError) as error:
        raise InvalidInputError(f"timm cannot make {name!r} with the arguments {kwargs}: {error}") from error
    except (OSError, HfHubHTTPError) as error:
        raise OSError(
            f"The weights of {name!r} could not be downloaded by timm: {error}. Connect to the network, or download "
            f"the file elsewhere and give its path as weights=."
        ) from error
    except RuntimeError as error:
        known = timm.list_pretrained(f"{arch}.*")
        raise InvalidInputError(
            f"timm cannot make {name!r} with weights={'timm' if pretrained else None!r}: {error}. Names with weights: "
            f"{', '.join(known) or 'none'}. Use one of these, or weights=None for random ones."
        ) from error


def _similar_models(arch: str) -> list[str]:
    # All names of timm would be a message of a thousand words.
    import timm

    names = timm.list_models()
    return get_close_matches(arch, names, n=5) or names[:5]


def _as_tuple(names: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if names is None else (names,) if isinstance(names, str) else tuple(names)


class ConvertImage:
    """Turns an image of Pillow to a mode, such as `RGB` or `L` (greyscale)."""

    def __init__(self, mode: str):
        self.mode = mode

    def __call__(self, image: "Image") -> "Image":
        """Give the image in the mode."""
        return image.convert(self.mode)

    def __repr__(self) -> str:
        return f"ConvertImage(mode={self.mode!r})"

"""LoRA: a network stays as it is, and small matrices beside its layers are trained."""

from collections.abc import Sequence

from torch import Tensor, nn

from oml.errors import check, show_some
from oml.models.meta.backbone import WithBackbone
from oml.models.tuning.adapter import AdaptedExtractor
from oml.models.tuning.blocks import find_backbones, join

_MARK = "lora_"  # in the names of the weights that peft adds


def add_lora(
    extractor: nn.Module,
    rank: int = 8,
    alpha: int | None = None,
    dropout: float = 0.0,
    target_modules: Sequence[str] | None = None,
    trained_modules: Sequence[str] = (),
) -> None:
    """
    Put LoRA beside layers of an extractor, through peft, and freeze everything else; embeddings stay the same at first.

    Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021.

    Args:
        extractor: Any extractor; changed in place, and used as before.
        rank: The rank of the added matrices.
        alpha: What is added is multiplied with `alpha / rank`; `2 * rank` by default.
        dropout: The share of inputs of the added matrices that are dropped in training.
        target_modules: The layers, by their names or the ends of them, such as `"qkv"`. By default all linear layers
            of a network, or also its convolutions where these hold more weights; never the heads beside the networks,
            nor the `pooler` of a model of transformers.
        trained_modules: Names of parts that are trained as well, such as `"projection"`.

    Raises:
        ImportError: peft is not installed.
        InvalidInputError: there is LoRA already, a number is out of its range, no layer has such a name, or the
            networks are calculated without gradients.

    Example:
        >>> from oml.models import TimmExtractor
        >>> extractor = TimmExtractor("test_vit", projection=8)
        >>> add_lora(extractor, rank=2, target_modules=["attn.qkv"], trained_modules=["projection"])
        >>> sum(p.numel() for p in extractor.parameters() if p.requires_grad) == 6 * 2 * (64 + 3 * 64) + 64 * 8 + 8
        True

    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ImportError("LoRA needs peft: pip install open-metric-learning[peft]") from error

    check(rank > 0, f"rank must be positive, got {rank}.")
    check(0 <= dropout < 1, f"dropout must lie in [0, 1), got {dropout}.")
    check(not get_lora_state_dict(extractor), "The extractor has LoRA already. Call merge_lora first.")
    _check_gradients(extractor)
    targets = _find_targets(extractor, target_modules)
    parts = [name for name, _ in extractor.named_modules()]
    unknown = [name for name in trained_modules if name not in parts]
    check(not unknown, f"trained_modules must be parts of the extractor, these are not: {show_some(unknown)}.")
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank if alpha is None else alpha,
        lora_dropout=dropout,
        target_modules=targets,
        bias="none",
    )
    inject_adapter_in_model(config, extractor)
    for name in trained_modules:
        extractor.get_submodule(name).requires_grad_(True)


def merge_lora(extractor: nn.Module) -> None:
    """
    Add what was trained to the layers themselves and take LoRA away, in place: as fast as without, with equal outputs.

    Names of weights are those of the extractor without LoRA again. Weights stay frozen; see `requires_grad_`.

    Raises:
        InvalidInputError: the extractor has no LoRA.

    """
    check(bool(get_lora_state_dict(extractor)), "The extractor has no LoRA to be merged. Call add_lora first.")
    from peft.tuners.lora import LoraLayer

    for name, layer in list(extractor.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.merge()
            parent, _, last = name.rpartition(".")
            setattr(extractor.get_submodule(parent), last, layer.get_base_layer())


def get_lora_state_dict(extractor: nn.Module) -> dict[str, Tensor]:
    """
    Give the weights of LoRA only; `load_state_dict(..., strict=False)` of an extractor with the same LoRA takes them.

    Example:
        >>> get_lora_state_dict(nn.Linear(2, 2))
        {}

    """
    return {name: tensor for name, tensor in extractor.state_dict().items() if _MARK in name}


def _is_plain_convolution(layer: nn.Module) -> bool:
    # peft's own convolutions know neither groups nor dilation, and pad with zeros
    return (
        isinstance(layer, (nn.Conv1d, nn.Conv2d))
        and layer.groups == 1
        and set(layer.dilation) == {1}
        and layer.padding_mode == "zeros"
    )


def _check_gradients(extractor: nn.Module) -> None:
    for name, module in extractor.named_modules():
        is_frozen = isinstance(module, AdaptedExtractor) or (
            isinstance(module, WithBackbone) and not module.train_backbone
        )
        check(
            not is_frozen,
            f"{type(module).__name__}{f' ({name})' if name else ''} calculates its extractor without gradients, so "
            "LoRA would learn nothing. Tune the extractor itself, or call unfreeze() first where there is one.",
        )


def _find_targets(extractor: nn.Module, names: Sequence[str] | None) -> list[str]:
    targets: list[str] = []
    known: list[str] = []
    for path, network in find_backbones(extractor):
        layers = {join(path, name): layer for name, layer in network.named_modules()}
        linear = {n: layer.weight.numel() for n, layer in layers.items() if isinstance(layer, nn.Linear)}
        kernels = {n: layer.weight.numel() for n, layer in layers.items() if _is_plain_convolution(layer)}
        known += [*linear, *kernels]
        # What a pooler gives is not part of the tokens' states: it would get no gradients.
        targets += [name for name in linear if not name.startswith(f"{join(path, 'pooler')}.")]
        targets += kernels if sum(kernels.values()) > sum(linear.values()) else []
    if names is not None:
        targets = [name for name in known if any(f".{name}".endswith(f".{end}") for end in names)]
    check(
        bool(targets),
        f"No linear layer or convolution of the network is called {show_some(names or ['(any)'])}. "
        f"Its layers: {show_some(known) or 'none'}.",
    )
    return targets

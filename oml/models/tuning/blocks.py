"""Where the blocks of a network are: the rules by which tuning works on networks that it was not written for."""

from collections import Counter
from collections.abc import Iterator

from torch import nn

# Under which names an extractor keeps what embeds; what lies beside them is a head.
_BACKBONE_NAMES = ("model", "extractor", "backbone", "query", "gallery")
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def find_backbones(module: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """
    Give the networks within an extractor and their names, without the heads beside them; or the module itself.

    Example:
        >>> extractor = nn.ModuleDict({"model": nn.Linear(2, 2), "projection": nn.Linear(2, 3)})
        >>> list(find_backbones(extractor))
        [('model', Linear(in_features=2, out_features=2, bias=True))]

    """
    # A network of timm or transformers is one, whatever its parts are called.
    children = [] if is_known(module) else list(module.named_children())
    inner = [n for n, _ in children if n in _BACKBONE_NAMES] or [
        n for n, child in children if any(map(is_known, child.modules()))
    ]
    if not inner:
        yield path, module
    for name in inner:
        yield from find_backbones(module.get_submodule(name), join(path, name))


def find_blocks(module: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """
    Give the outermost blocks of a network and their names, in order.

    A block is made of layers, and stands in a list of modules, or beside others of its class.

    Example:
        >>> def make() -> nn.Module:
        ...     return nn.TransformerEncoderLayer(4, 2, 8)
        >>> network = nn.ModuleDict({"stem": nn.Linear(3, 4), "layers": nn.ModuleList([make(), make()])})
        >>> [name for name, _ in find_blocks(network)]
        ['layers.0', 'layers.1']

    """
    children = list(module.named_children())
    counts = Counter(type(child) for _, child in children)
    for name, child in children:
        is_container, is_layer = isinstance(child, _CONTAINERS), next(child.children(), None) is None
        if is_layer:
            continue
        if not is_container and (isinstance(module, nn.ModuleList) or counts[type(child)] > 1):
            yield join(path, name), child
        else:
            yield from find_blocks(child, join(path, name))


def is_known(module: nn.Module) -> bool:
    """Tell whether a module is a network of timm or of transformers."""
    return any(hasattr(module, name) for name in ("group_matcher", "gradient_checkpointing_disable"))


def join(path: str, name: str) -> str:
    """Give the name of a part of the module at the path."""
    return f"{path}.{name}" if path else name

"""Everything that can be named in a config; loaded when asked for."""

from typing import TYPE_CHECKING

from oml.lazy import load_when_asked

if TYPE_CHECKING:
    from oml.registry.listing import show_registry as show_registry
    from oml.registry.losses import LOSSES_REGISTRY as LOSSES_REGISTRY
    from oml.registry.miners import MINERS_REGISTRY as MINERS_REGISTRY
    from oml.registry.models import EXTRACTORS_REGISTRY as EXTRACTORS_REGISTRY
    from oml.registry.models import PAIRWISE_MODELS_REGISTRY as PAIRWISE_MODELS_REGISTRY
    from oml.registry.optimizers import OPTIMIZERS_REGISTRY as OPTIMIZERS_REGISTRY
    from oml.registry.postprocessors import POSTPROCESSORS_REGISTRY as POSTPROCESSORS_REGISTRY
    from oml.registry.registry import Registry as Registry
    from oml.registry.samplers import SAMPLERS_REGISTRY as SAMPLERS_REGISTRY
    from oml.registry.schedulers import SCHEDULERS_REGISTRY as SCHEDULERS_REGISTRY
    from oml.registry.transforms import TRANSFORMS_REGISTRY as TRANSFORMS_REGISTRY
    from oml.registry.transforms import get_transforms_for_pretrained as get_transforms_for_pretrained

__getattr__, __dir__, __all__ = load_when_asked(
    __name__,
    {
        "oml.registry.listing": ["show_registry"],
        "oml.registry.losses": ["LOSSES_REGISTRY"],
        "oml.registry.miners": ["MINERS_REGISTRY"],
        "oml.registry.models": ["EXTRACTORS_REGISTRY", "PAIRWISE_MODELS_REGISTRY"],
        "oml.registry.optimizers": ["OPTIMIZERS_REGISTRY"],
        "oml.registry.postprocessors": ["POSTPROCESSORS_REGISTRY"],
        "oml.registry.registry": ["Registry"],
        "oml.registry.samplers": ["SAMPLERS_REGISTRY"],
        "oml.registry.schedulers": ["SCHEDULERS_REGISTRY"],
        "oml.registry.transforms": ["TRANSFORMS_REGISTRY", "get_transforms_for_pretrained"],
    },
)

"""What can be named in a config, as text."""

import sys

from oml.registry.losses import LOSSES_REGISTRY
from oml.registry.miners import MINERS_REGISTRY
from oml.registry.models import EXTRACTORS_REGISTRY, PAIRWISE_MODELS_REGISTRY
from oml.registry.optimizers import OPTIMIZERS_REGISTRY
from oml.registry.postprocessors import POSTPROCESSORS_REGISTRY
from oml.registry.samplers import SAMPLERS_REGISTRY
from oml.registry.schedulers import SCHEDULERS_REGISTRY
from oml.registry.transforms import TRANSFORMS_REGISTRY

# By the folder of `oml/configs` with the default config of each name.
REGISTRIES = {
    "extractor": EXTRACTORS_REGISTRY,
    "criterion": LOSSES_REGISTRY,
    "miner": MINERS_REGISTRY,
    "sampler": SAMPLERS_REGISTRY,
    "optimizer": OPTIMIZERS_REGISTRY,
    "scheduler": SCHEDULERS_REGISTRY,
    "transforms": TRANSFORMS_REGISTRY,
    "pairwise_model": PAIRWISE_MODELS_REGISTRY,
    "postprocessor": POSTPROCESSORS_REGISTRY,
}


def show_registry() -> None:
    """
    Write all names that configs may have to the standard output, a line for each kind.

    Example:
        >>> show_registry()  # doctest: +ELLIPSIS
        extractor: char, conv, ...

    """
    sys.stdout.writelines(f"{kind}: {', '.join(sorted(registry))}\n" for kind, registry in REGISTRIES.items())

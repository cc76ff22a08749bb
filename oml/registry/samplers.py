"""Samplers by name."""

from typing import Any

from oml.const import TCfg
from oml.interfaces.samplers import IBatchSampler
from oml.registry.registry import Registry, TConstructor

_BY_CATEGORY: dict[str, TConstructor | str] = {
    "category_balance": "oml.samplers.category_balance:CategoryBalanceSampler",
    "distinct_category_balance": "oml.samplers.distinct_category_balance:DistinctCategoryBalanceSampler",
}

SAMPLERS_CATEGORIES_BASED = Registry("sampler", _BY_CATEGORY)
SAMPLERS_REGISTRY = Registry("sampler", {"balance": "oml.samplers.balance:BalanceSampler", **_BY_CATEGORY})


def get_sampler(name: str, **kwargs: Any) -> IBatchSampler:
    """
    Build a sampler of batches by its name in `SAMPLERS_REGISTRY`.

    Raises:
        KeyError: the name is unknown; the message names the nearest ones.
        TypeError: the sampler does not take an argument, or lacks one.

    Example:
        >>> len(get_sampler("balance", labels=[0, 0, 1, 1, 2, 2, 3, 3], n_labels=2, n_instances=2))
        2

    """
    sampler: IBatchSampler = SAMPLERS_REGISTRY.build(name, **kwargs)
    return sampler


def get_sampler_by_cfg(cfg: TCfg, **kwargs_runtime: Any) -> IBatchSampler:
    """
    Build the sampler that a config `{"name": ..., "args": {...}}` describes.

    Args:
        cfg: the config.
        kwargs_runtime: `labels` and `label2category`; those that the sampler does not take are left out.

    Raises:
        InvalidInputError: the config has other keys.
        KeyError: the name is unknown; the message names the nearest ones.
        TypeError: the sampler does not take an argument, or lacks one.

    """
    sampler: IBatchSampler = SAMPLERS_REGISTRY.build_by_cfg(cfg, **kwargs_runtime)
    return sampler

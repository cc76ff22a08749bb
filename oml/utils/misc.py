"""Small documented tools for arguments, numbers, dictionaries and sequences."""

import inspect
import os
import random
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from oml.errors import check
from oml.utils.html import html_blocks_to_grid
from oml.utils.text_pictures import visualize_text

__all__ = [
    "CompatibilityError",
    "adapt_argument_as_kwarg",
    "check_if_nonempty_positive_integers",
    "clip_max",
    "compare_dicts_recursively",
    "dictconfig_to_dict",
    "find_value_ids",
    "flatten_dict",
    "html_blocks_to_grid",
    "matplotlib_backend",
    "one_hot",
    "pad_array_right",
    "remove_unused_kwargs",
    "set_global_seed",
    "smart_sample",
    "visualize_text",
]

T = TypeVar("T")


class CompatibilityError(Exception):
    """The installed version of a library has none of the interfaces that are known to us."""


def adapt_argument_as_kwarg(obj: Callable[..., Any], candidates: Iterable[str], value: Any) -> dict[str, Any]:
    """
    Give the value under the first of the names that the function or class takes, to be passed as `**kwargs`.

    For arguments that were renamed between versions of a library.

    Raises:
        CompatibilityError: none of the names is an argument.

    Example:
        >>> adapt_argument_as_kwarg(sorted, ["key_function", "key"], len)
        {'key': <built-in function len>}

    """
    candidates = list(candidates)
    known = list(inspect.signature(obj).parameters)
    for name in candidates:
        if name in known:
            return {name: value}
    raise CompatibilityError(f"{obj} takes none of {candidates}, only {known}. Check the version of its library.")


def remove_unused_kwargs(kwargs: Mapping[str, Any], function: Callable[..., Any]) -> dict[str, Any]:
    """
    Give those keyword arguments that the function takes: all of them if it has `**kwargs` itself.

    Example:
        >>> remove_unused_kwargs({"key": len, "colour": "red"}, sorted)
        {'key': <built-in function len>}

    """
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return dict(kwargs)
    names = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return {name: value for name, value in kwargs.items() if name in names}


def check_if_nonempty_positive_integers(var: Sequence[int], name: str) -> None:
    """
    Check that the sequence holds at least one value, and only positive integers.

    Raises:
        ValueError: it does not; the message calls the sequence by its name.

    Example:
        >>> check_if_nonempty_positive_integers((1, 5), "top_k")

    """
    if not isinstance(var, Collection) or len(var) == 0:
        raise ValueError(f"{name} must be a non-empty sequence of positive integers, got {var!r}.")
    wrong = [v for v in var if isinstance(v, bool) or not isinstance(v, Integral) or v <= 0]
    if wrong:
        raise ValueError(f"{name} must hold only positive integers, got {wrong[0]!r} in {var!r}.")


def set_global_seed(seed: int) -> None:
    """Seed the generators of Python, numpy and torch (all devices) and make cuDNN deterministic, which is slower."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.cuda.manual_seed_all(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    os.environ["PL_SEED_WORKERS"] = "1"  # Lightning then seeds the loader's workers too


def find_value_ids(it: Iterable[Any], value: Any) -> list[int]:
    """
    Give the positions of the value in the sequence, ascending.

    Example:
        >>> find_value_ids("banana", "a")
        [1, 3, 5]

    """
    return [i for i, item in enumerate(it) if item == value]


def one_hot(i: int, dim: int) -> Tensor:
    """
    Give a float32 vector (dim,) of zeros with a one at position i.

    Raises:
        InvalidInputError: the position is not in 0..dim-1.

    Example:
        >>> one_hot(1, dim=3)
        tensor([0., 1., 0.])

    """
    check(0 <= i < dim, f"i must be in 0..{dim - 1} as dim is {dim}, got {i}.")
    vector = torch.zeros(dim)
    vector[i] = 1
    return vector


def clip_max(arr: Iterable[int], max_el: int) -> tuple[int, ...]:
    """
    Give the values, none of them above the maximum.

    Example:
        >>> clip_max((1, 5, 10), max_el=5)
        (1, 5, 5)

    """
    return tuple(min(x, max_el) for x in arr)


def pad_array_right(arr: np.ndarray, required_len: int, val: float) -> np.ndarray:
    """
    Give the 1-D array with the value appended until it has the required length; the dtype is kept.

    Raises:
        InvalidInputError: the array is not 1-D, or longer than required.

    Example:
        >>> pad_array_right(np.array([1, 2]), required_len=4, val=0)
        array([1, 2, 0, 0])

    """
    check(arr.ndim == 1, f"arr must be 1-D, got {arr.ndim} dimensions.")
    check(len(arr) <= required_len, f"required_len {required_len} is less than the array's length {len(arr)}.")
    return np.pad(arr, (0, required_len - len(arr)), constant_values=val)


def smart_sample(array: Sequence[T], k: int, rng: np.random.Generator | None = None) -> list[T]:
    """
    Give k random items, without replacement as far as the items suffice.

    If there are fewer than k items, each is taken once, and the rest is drawn with replacement.

    Args:
        array: The items.
        k: How many to take.
        rng: Source of randomness; numpy's global state if not given.

    Raises:
        InvalidInputError: k is negative, or there is nothing to draw from.

    Example:
        >>> sorted(smart_sample(["a", "b"], k=2))
        ['a', 'b']

    """
    check(k >= 0, f"k must be at least 0, got {k}.")
    check(k == 0 or len(array) > 0, f"Cannot draw {k} items from an empty sequence.")
    choice = np.random.choice if rng is None else rng.choice
    ids = list(choice(len(array), size=min(k, len(array)), replace=False)) if k else []
    if k > len(array):
        ids += list(choice(len(array), size=k - len(array), replace=True))
    return [array[i] for i in ids]


def flatten_dict(
    d: Mapping[Any, Any], parent_key: str = "", sep: str = "/", ignored_keys: Collection[Any] = ()
) -> dict[str, Any]:
    """
    Give a nested dictionary as a flat one, whose keys are the joined paths.

    Args:
        d: The dictionary; keys that are not text are turned into text.
        parent_key: Put before all keys.
        sep: Put between the parts of a path.
        ignored_keys: Keys to leave out, with all below them, at whatever depth they stand.

    Example:
        >>> flatten_dict({"OVERALL": {"cmc": {1: 0.5, 5: 0.7}}})
        {'OVERALL/cmc/1': 0.5, 'OVERALL/cmc/5': 0.7}

    """
    flat: dict[str, Any] = {}
    for key, value in d.items():
        if key in ignored_keys:
            continue
        path = f"{parent_key}{sep}{key}" if parent_key else str(key)
        if isinstance(value, Mapping):
            flat.update(flatten_dict(value, path, sep, ignored_keys))
        else:
            flat[path] = value
    return flat


def dictconfig_to_dict(cfg: Any) -> Any:
    """
    Give a config of OmegaConf as plain dictionaries and lists with all references resolved; anything else as it is.

    Dictionaries are searched for configs inside them. OmegaConf is not needed for plain dictionaries.
    """
    omegaconf = sys.modules.get("omegaconf")  # not imported yet: then nobody can have made a config of it
    if omegaconf is not None and omegaconf.OmegaConf.is_config(cfg):
        return omegaconf.OmegaConf.to_container(cfg, resolve=True)
    if isinstance(cfg, dict):
        return {key: dictconfig_to_dict(value) for key, value in cfg.items()}
    return cfg


def compare_dicts_recursively(d1: Mapping[Any, Any], d2: Mapping[Any, Any]) -> bool:
    """
    Check that two nested dictionaries are equal; numbers, arrays and tensors up to the tolerance of `allclose`.

    Lists and tuples are searched too; the devices of tensors do not count; NaN differs from everything.

    Raises:
        InvalidInputError: they differ; the message gives the path to the first difference.

    Example:
        >>> compare_dicts_recursively({"a": {"b": torch.ones(2)}}, {"a": {"b": torch.ones(2) + 1e-9}})
        True

    """
    _check_same(d1, d2, path="")
    return True


def _check_same(x1: Any, x2: Any, path: str) -> None:
    where = f"at {path!r}" if path else "at the top"
    if isinstance(x1, (list, tuple)) and isinstance(x2, (list, tuple)):
        x1, x2 = dict(enumerate(x1)), dict(enumerate(x2))
    if isinstance(x1, Mapping) and isinstance(x2, Mapping):
        only_in_one = set(x1) ^ set(x2)
        check(not only_in_one, f"The dictionaries differ {where}: only one of them has the keys {only_in_one}.")
        for key in x1:
            _check_same(x1[key], x2[key], f"{path}/{key}" if path else str(key))
    else:
        check(_is_close(x1, x2), f"The dictionaries differ {where}: {x1!r} and {x2!r}.")


def _is_close(x1: Any, x2: Any) -> bool:
    if isinstance(x1, Tensor) and isinstance(x2, Tensor):
        x1, x2 = x1.detach().cpu().double().numpy(), x2.detach().cpu().double().numpy()
    if isinstance(x1, np.ndarray) and isinstance(x2, np.ndarray):
        is_numeric = all(np.issubdtype(x.dtype, np.number) for x in (x1, x2))
        return x1.shape == x2.shape and bool(np.allclose(x1, x2) if is_numeric else np.array_equal(x1, x2))
    if isinstance(x1, Real) and isinstance(x2, Real):
        return bool(np.isclose(float(x1), float(x2)))
    return type(x1) is type(x2) and bool(x1 == x2)


@contextmanager
def matplotlib_backend(backend: str) -> Iterator[None]:
    """Draw with this backend of matplotlib inside the block, e.g. `"Agg"`, which needs no screen; restore it after."""
    import matplotlib
    from matplotlib import pyplot as plt

    former = matplotlib.get_backend()
    plt.switch_backend(backend)
    try:
        yield
    finally:
        plt.switch_backend(former)

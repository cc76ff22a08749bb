import os
import random
import subprocess
import sys
import types
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oml.utils.misc import (
    CompatibilityError,
    adapt_argument_as_kwarg,
    check_if_nonempty_positive_integers,
    clip_max,
    compare_dicts_recursively,
    dictconfig_to_dict,
    find_value_ids,
    flatten_dict,
    matplotlib_backend,
    one_hot,
    pad_array_right,
    remove_unused_kwargs,
    smart_sample,
)


def takes_two(new: int, other: int = 0) -> None: ...


class TakesAll:
    def __init__(self, a: int, **kwargs: Any) -> None: ...


def test_adapt_argument_as_kwarg() -> None:
    assert adapt_argument_as_kwarg(takes_two, ["old", "new"], 3) == {"new": 3}
    assert adapt_argument_as_kwarg(TakesAll, ["a"], 3) == {"a": 3}
    with pytest.raises(CompatibilityError, match=r"none of \['old', 'older'\], only \['new', 'other'\]"):
        adapt_argument_as_kwarg(takes_two, ["old", "older"], 3)


def test_remove_unused_kwargs() -> None:
    kwargs = {"new": 1, "extra": 2}
    assert remove_unused_kwargs(kwargs, takes_two) == {"new": 1}
    assert remove_unused_kwargs(kwargs, TakesAll) == kwargs
    assert remove_unused_kwargs({}, takes_two) == {}


@pytest.mark.parametrize("var", [(1,), [3, 5], (np.int64(2),)])
def test_positive_integers(var: Any) -> None:
    check_if_nonempty_positive_integers(var, "top_k")


@pytest.mark.parametrize(
    ("var", "match"),
    [
        ((), r"top_k must be a non-empty sequence of positive integers, got \(\)"),
        (5, "top_k must be a non-empty sequence of positive integers, got 5"),
        ((0,), r"only positive integers, got 0 in \(0,\)"),
        ((2, -1), "only positive integers, got -1"),
        ((1.5, 2), "only positive integers, got 1.5"),
        ((1.0, 2.0), "only positive integers, got 1.0"),
        ((True,), "only positive integers, got True"),
    ],
)
def test_not_positive_integers(var: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        check_if_nonempty_positive_integers(var, "top_k")


def test_set_global_seed() -> None:
    """In a process of its own, so that the states of this one stay as they are."""
    code = (
        "import random, os, numpy as np, torch\n"
        "from oml.utils.misc import set_global_seed\n"
        "draw = lambda: (random.random(), float(np.random.rand()), float(torch.rand(1)))\n"
        "set_global_seed(1); first = draw(); set_global_seed(1); assert draw() == first\n"
        "assert all(a != b for a, b in zip(draw(), first)); set_global_seed(2); assert draw() != first\n"
        "assert torch.backends.cudnn.deterministic and os.environ['PL_SEED_WORKERS'] == '1'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_find_value_ids() -> None:
    assert find_value_ids([1, 2, 1], 1) == [0, 2]
    assert find_value_ids((), 1) == []
    assert find_value_ids([1], 2) == []


def test_one_hot() -> None:
    assert one_hot(0, 1).tolist() == [1.0]
    assert one_hot(2, 4).tolist() == [0, 0, 1, 0]
    for i in (-1, 3):
        with pytest.raises(ValueError, match=rf"i must be in 0\.\.2 as dim is 3, got {i}"):
            one_hot(i, 3)


@given(st.lists(st.integers(-5, 20)), st.integers(-5, 20))
@settings(deadline=None)
def test_clip_max(values: list[int], max_el: int) -> None:
    clipped = clip_max(values, max_el)
    assert len(clipped) == len(values)
    assert all(c == (v if v <= max_el else max_el) for c, v in zip(clipped, values, strict=True))


@given(st.integers(0, 5), st.integers(0, 5), st.sampled_from([np.int64, np.float32]))
@settings(deadline=None)
def test_pad_array_right(size: int, extra: int, dtype: type) -> None:
    arr = np.arange(size, dtype=dtype)
    padded = pad_array_right(arr, size + extra, -1)
    assert padded.tolist() == [*arr.tolist(), *[-1] * extra]
    assert padded.dtype == dtype


def test_pad_array_right_errors() -> None:
    with pytest.raises(ValueError, match="required_len 1 is less than the array's length 2"):
        pad_array_right(np.zeros(2), 1, 0)
    with pytest.raises(ValueError, match="must be 1-D, got 2"):
        pad_array_right(np.zeros((2, 2)), 3, 0)


@given(st.integers(0, 6), st.integers(0, 15), st.integers(0, 100))
@settings(deadline=None)
def test_smart_sample(n: int, k: int, seed: int) -> None:
    items = [f"item_{i}" for i in range(n)]
    if n == 0 and k > 0:
        with pytest.raises(ValueError, match=f"Cannot draw {k} items from an empty sequence"):
            smart_sample(items, k)
        return
    sample = smart_sample(items, k, rng=np.random.default_rng(seed))
    assert len(sample) == k
    counts = Counter(sample)
    assert set(counts) <= set(items)
    assert len(counts) == min(n, k)  # all different, or all there
    assert sample == smart_sample(items, k, rng=np.random.default_rng(seed))


def test_smart_sample_follows_the_global_seed_and_keeps_types() -> None:
    state = np.random.get_state()
    try:
        np.random.seed(3)
        first = smart_sample([(1, 2), "a", None], 7)
        np.random.seed(3)
        assert smart_sample([(1, 2), "a", None], 7) == first
        assert set(first) == {(1, 2), "a", None}
    finally:
        np.random.set_state(state)
    with pytest.raises(ValueError, match="at least 0, got -1"):
        smart_sample([1], -1)


@pytest.mark.parametrize(
    ("d", "kwargs", "expected"),
    [
        ({}, {}, {}),
        ({"a": 1}, {}, {"a": 1}),
        ({"a": {"b": {1: 2}}, "c": 3}, {}, {"a/b/1": 2, "c": 3}),
        ({"a": {"b": 2}}, {"sep": "|", "parent_key": "top"}, {"top|a|b": 2}),
        ({"a": {"b": 2, "x": 3}, "x": {"y": 4}}, {"ignored_keys": ["x"]}, {"a/b": 2}),
        ({"a": {}}, {}, {}),
    ],
)
def test_flatten_dict(d: dict[Any, Any], kwargs: dict[str, Any], expected: dict[str, Any]) -> None:
    assert flatten_dict(d, **kwargs) == expected


def test_dictconfig_to_dict(monkeypatch: pytest.MonkeyPatch) -> None:
    class FakeConfig:  # stands in for OmegaConf, which is optional
        pass

    class OmegaConf:
        @staticmethod
        def is_config(cfg: Any) -> bool:
            return isinstance(cfg, FakeConfig)

        @staticmethod
        def to_container(cfg: Any, resolve: bool) -> dict[str, bool]:
            return {"resolved": resolve}

    plain = {"a": [1, 2]}
    monkeypatch.delitem(sys.modules, "omegaconf", raising=False)
    assert dictconfig_to_dict(plain) == plain
    module = types.ModuleType("omegaconf")
    module.OmegaConf = OmegaConf  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "omegaconf", module)
    assert dictconfig_to_dict(FakeConfig()) == {"resolved": True}
    assert dictconfig_to_dict({"a": FakeConfig(), "b": 1}) == {"a": {"resolved": True}, "b": 1}


@pytest.mark.parametrize(
    ("x1", "x2"),
    [
        ({}, {}),
        ({"a": {"b": torch.ones(2)}}, {"a": {"b": torch.ones(2) + 1e-9}}),
        ({"a": np.ones(2)}, {"a": np.ones(2) + 1e-9}),
        ({"a": [torch.ones(1), "x"]}, {"a": [torch.ones(1), "x"]}),
        ({"a": 1.0, "b": None}, {"b": None, "a": 1}),
        ({"a": np.array(["x"])}, {"a": np.array(["x"])}),
        ({"a": torch.ones(2, dtype=torch.bfloat16)}, {"a": torch.ones(2, requires_grad=True)}),
    ],
)
def test_equal_dicts(x1: dict[Any, Any], x2: dict[Any, Any]) -> None:
    assert compare_dicts_recursively(x1, x2) is True


@pytest.mark.parametrize(
    ("x1", "x2", "match"),
    [
        ({"a": 1}, {}, r"differ at the top: only one of them has the keys \{'a'\}"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "differ at 'a/b': 1 and 2"),
        ({"a": [1, 2]}, {"a": [1, 3]}, "differ at 'a/1': 2 and 3"),
        ({"a": [1, 2]}, {"a": [1]}, r"differ at 'a'.*keys \{1\}"),
        ({"a": torch.zeros(2)}, {"a": torch.zeros(3)}, "differ at 'a'"),
        ({"a": torch.zeros(2)}, {"a": torch.full((2,), 0.1)}, "differ at 'a'"),
        ({"a": np.zeros(2)}, {"a": torch.zeros(2)}, "differ at 'a'"),
        ({"a": "1"}, {"a": 1}, "differ at 'a': '1' and 1"),
        ({"a": float("nan")}, {"a": float("nan")}, "differ at 'a': nan and nan"),
    ],
)
def test_different_dicts(x1: dict[Any, Any], x2: dict[Any, Any], match: str) -> None:
    with pytest.raises(AssertionError, match=match):
        compare_dicts_recursively(x1, x2)


def test_matplotlib_backend() -> None:
    import matplotlib

    before = matplotlib.get_backend()

    def draw_and_fail() -> None:
        with matplotlib_backend("svg"):
            assert matplotlib.get_backend() == "svg"
            raise KeyError("stop")

    with pytest.raises(KeyError):
        draw_and_fail()
    assert matplotlib.get_backend() == before
    assert before != "svg"


def test_importing_the_tools_is_cheap() -> None:
    code = (
        "import sys, oml.utils, oml.utils.misc, oml.utils.misc_torch, oml.utils.io\n"
        "heavy = {'pandas', 'matplotlib', 'PIL', 'torchvision', 'timm', 'requests', 'omegaconf'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert 'get_mock_images_dataset' in dir(oml.utils)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env={**os.environ, "PYTHONPATH": os.getcwd()})


def test_unknown_attribute() -> None:
    import oml.utils

    with pytest.raises(AttributeError, match="no attribute 'get_nothing'"):
        _ = oml.utils.get_nothing


def test_seeding_does_not_leak_into_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """`smart_sample` draws from numpy only."""
    state = random.getstate()
    smart_sample([1, 2, 3], 5, rng=np.random.default_rng(0))
    assert random.getstate() == state

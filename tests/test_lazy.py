import ast
import inspect
import subprocess
import sys
from importlib import import_module

import pytest

from oml.lazy import load_when_asked

PACKAGES = ["oml.datasets", "oml.registry", "oml.utils"]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_is_found_and_known_to_type_checkers(package):
    module = import_module(package)
    assert all(getattr(module, name) is not None for name in module.__all__)
    assert set(module.__all__) <= set(dir(module))
    block = next(node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.If))
    declared = {alias.asname: node.module for node in block.body for alias in node.names}
    assert set(declared) == set(module.__all__)
    assert all(getattr(import_module(place), name) is getattr(module, name) for name, place in declared.items())


def test_nothing_is_loaded_before():
    code = (
        "import sys; from oml import datasets; assert 'oml.datasets.pairs' not in sys.modules; "
        "datasets.PairDataset; assert 'oml.datasets.pairs' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_names():
    find, list_names, names = load_when_asked("tests", {"fractions": ["Fraction"]})
    with pytest.raises(AttributeError, match="module 'tests' has no attribute 'Fractions'"):
        find("Fractions")
    assert names == ["Fraction"]
    assert {"Fraction", "__name__"} <= set(list_names())

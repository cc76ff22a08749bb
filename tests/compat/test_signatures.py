"""Every documented callable is there, under its name, with its parameters in their order and their defaults."""

import ast
import importlib
import inspect
from typing import Any

import pytest

from tests.compat.documented import Documented, parse_call, read_documented

# Parts of the documented API that are still to come: modules, or single names. A test keeps this list from going stale.
TO_COME = {
    "oml.ddp.patching",
    "oml.interfaces.loggers",
    "oml.lightning",
    "oml.registry.loggers",
}
DOCUMENTED = list(read_documented())


def is_to_come(name: str) -> bool:
    return any(name == part or name.startswith(part + ".") for part in TO_COME)


def find(entry: Documented) -> Any:
    found: Any = importlib.import_module(entry.module)
    for part in entry.path.split("."):
        found = getattr(found, part)
    return found


def is_built_by_a_library(found: type) -> bool:
    """Tell whether the constructor is inherited from a class outside of the package, so that the list leaves it out."""
    owner = next(parent for parent in found.__mro__ if "__init__" in vars(parent))
    return owner is not found and owner.__module__.split(".")[0] != "oml"


def find_breaks(entry: Documented, found: Any) -> list[str]:
    """Say where a callable departs from its documented signature. More parameters with defaults may follow."""
    if inspect.isclass(found) and is_built_by_a_library(found):
        return [] if not entry.parameters else ["a class whose parameters are those of a library"]
    target = found.__init__ if inspect.isclass(found) and "__init__" in vars(found) else found
    has = [p for p in inspect.signature(target).parameters.values() if p.name != "self"]
    names = [p.name for p in has if p.kind is not p.VAR_KEYWORD]
    breaks = []
    if tuple(names[: len(entry.parameters)]) != entry.parameters:
        breaks.append(f"parameters {names} instead of {entry.parameters}")
    for parameter in has[len(entry.parameters) :]:
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            breaks.append(f"{parameter.name} is required but not documented")
    for parameter in has:
        documented = entry.defaults.get(parameter.name)
        if documented is None or documented == "'<cache path>'" or documented.startswith(("AllTriplets", "default_")):
            continue
        documented = documented.replace("sys.maxsize", str(2**63 - 1))
        if repr(parameter.default) != documented and parameter.default != ast.literal_eval(documented):
            breaks.append(f"{parameter.name}={parameter.default!r} instead of {documented}")
    return breaks


@pytest.mark.parametrize("entry", [e for e in DOCUMENTED if not is_to_come(e.name)], ids=lambda e: e.name)
def test_documented_name(entry):
    found = find(entry)
    if entry.is_plain and callable(found):
        assert find_breaks(entry, found) == []


@pytest.mark.parametrize("part", sorted(TO_COME))
def test_to_come_is_not_there_yet(part):
    assert any(e.name == part or e.name.startswith(part + ".") for e in DOCUMENTED), "not in the documented list"
    present = []
    for entry in DOCUMENTED:
        if entry.name == part or entry.name.startswith(part + "."):
            try:
                present.append(find(entry))
            except (ImportError, AttributeError):
                continue
    assert present == [], f"{part} is there now: take it off TO_COME"


def test_breaks_are_seen():
    entry = Documented("m", *parse_call("f(a, b=1)"))
    assert find_breaks(entry, lambda a, b=1, c=2: None) == []
    assert find_breaks(entry, lambda b=1, a=0: None) != []
    assert find_breaks(entry, lambda a, b=2: None) == ["b=2 instead of 1"]
    assert find_breaks(entry, lambda a, b=1, *, c: None) == []
    library_class = type("Theirs", (), {"__init__": lambda self, a: None})
    assert find_breaks(Documented("m", *parse_call("F()")), type("Ours", (library_class,), {})) == []
    assert find_breaks(Documented("m", *parse_call("F(a)")), type("Ours", (library_class,), {})) != []
    assert find_breaks(Documented("m", *parse_call("F()")), library_class) == ["a is required but not documented"]
    assert find_breaks(Documented("m", *parse_call("f(a)")), lambda a, b: None) == ["b is required but not documented"]

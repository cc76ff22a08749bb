from collections import UserDict
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import pytest

from oml.errors import InvalidInputError
from oml.registry.registry import Registry, get_parameters


class Engine:
    def __init__(self, power: int, fuel: str = "petrol"):
        self.power, self.fuel = power, fuel


class Turbo:
    def __init__(self, engine: Any):
        self.engine = engine


class Car:
    def __init__(self, engine: Any, wheels: int = 4, **options: Any):
        self.engine, self.wheels, self.options = engine, wheels, options


@pytest.fixture
def engines() -> Registry:
    registry = Registry("engine", {"engine": Engine, "turbo": Turbo})
    registry.nested["engine"] = registry
    return registry


class OtherMapping(Mapping[str, Any]):
    """A mapping that is no dict, as configs of other libraries are."""

    def __init__(self, values: dict[str, Any]):
        self.values_ = values

    def __getitem__(self, key: str) -> Any:
        value = self.values_[key]
        return (
            OtherMapping(value) if isinstance(value, dict) else OtherList(value) if isinstance(value, list) else value
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


class OtherList(Sequence[Any]):
    def __init__(self, values: list[Any]):
        self.values_ = values

    def __getitem__(self, index: Any) -> Any:
        return self.values_[index]

    def __len__(self) -> int:
        return len(self.values_)


def test_it_is_a_mapping_of_constructors() -> None:
    registry = Registry("number", {"int": int, "fraction": "fractions:Fraction"})
    assert dict(registry) == {"int": int, "fraction": Fraction}
    assert "fraction" in registry
    assert "complex" not in registry
    registry["complex"] = complex
    registry["float"] = "builtins:float"
    assert registry["float"] is float
    del registry["int"]
    assert sorted(registry) == ["complex", "float", "fraction"]
    assert len(registry) == 3
    assert repr(registry) == "Registry('number', names: complex, float, fraction)"
    assert repr(Registry("number")) == "Registry('number', names: none)"


def test_import_happens_when_asked_for() -> None:
    registry = Registry("thing", {"missing": "no_such_module:Thing"})
    assert "missing" in registry
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        registry["missing"]


def test_own_names_do_not_leak_into_the_given_dict() -> None:
    entries = {"int": int}
    Registry("number", entries)["float"] = float  # type: ignore[arg-type]
    assert entries == {"int": int}


def test_build_by_name(engines: Registry) -> None:
    engine = engines.build("engine", power=5)
    assert (engine.power, engine.fuel) == (5, "petrol")
    assert engines.build("turbo", engine=engine).engine is engine


def test_build_by_config(engines: Registry) -> None:
    engine = engines.build_by_cfg({"name": "engine", "args": {"power": 5, "fuel": "gas"}})
    assert (engine.power, engine.fuel) == (5, "gas")
    registry = Registry("list", {"list": list, "dict": lambda a=1: a})
    assert registry.build_by_cfg({"name": "dict"}) == registry.build_by_cfg({"name": "dict", "args": None}) == 1


def test_nested_configs_are_built_first(engines: Registry) -> None:
    cars = Registry("car", {"car": Car}, nested={"engine": engines})
    cfg = {
        "name": "car",
        "args": {"engine": {"name": "turbo", "args": {"engine": {"name": "engine", "args": {"power": 2}}}}},
    }
    car = cars.build_by_cfg(cfg)
    assert isinstance(car.engine, Turbo)
    assert car.engine.engine.power == 2
    assert cfg["args"]["engine"]["name"] == "turbo"  # type: ignore[index]
    ready = Engine(1)
    assert cars.build("car", engine=ready).engine is ready


def test_configs_of_other_libraries() -> None:
    registry = Registry("thing", {"thing": lambda a, b: (a, b)})
    for make in (OtherMapping, UserDict):
        built = registry.build_by_cfg(make({"name": "thing", "args": {"a": [1, 2], "b": {"c": [3]}}}))
        assert built == ([1, 2], {"c": [3]})
        assert type(built[0]) is list
        assert type(built[1]) is dict


def test_runtime_arguments_that_are_not_taken_are_left_out(engines: Registry) -> None:
    engine = engines.build_by_cfg({"name": "engine", "args": {"power": 5}}, fuel="gas", labels=[1])
    assert engine.fuel == "gas"
    assert engines.build_by_cfg({"name": "engine", "args": {"power": 5, "fuel": "oil"}}, fuel="gas").fuel == "oil"
    cars = Registry("car", {"car": Car})
    assert cars.build_by_cfg({"name": "car", "args": {"engine": 1}}, labels=[1]).options == {"labels": [1]}


def test_unknown_names(engines: Registry) -> None:
    message = "Unknown engine 'turbos'. Did you mean 'turbo'[?] Known: engine, turbo"
    for act in (
        lambda: engines["turbos"],
        lambda: engines.build("turbos"),
        lambda: engines.build_by_cfg({"name": "turbos"}),
    ):
        with pytest.raises(KeyError, match=message):
            act()


def test_unknown_and_missing_arguments(engines: Registry) -> None:
    message = r"The engine 'engine' has no argument 'powr'\. Did you mean 'power'\? Its arguments: power, fuel\."
    with pytest.raises(TypeError, match=message):
        engines.build("engine", powr=3)
    with pytest.raises(TypeError, match=message):
        engines.build_by_cfg({"name": "engine", "args": {"powr": 3}})
    with pytest.raises(TypeError, match=r"has no argument 'zzz'\. Its arguments: none"):
        Registry("thing", {"thing": lambda: 1}).build("thing", zzz=1)
    with pytest.raises(TypeError, match="The engine 'engine' needs the arguments: power"):
        engines.build("engine", fuel="gas")


def test_errors_of_the_constructor_are_its_own() -> None:
    def fail(a: int = 1) -> None:
        raise TypeError("from inside")

    with pytest.raises(TypeError, match=r"^from inside$"):
        Registry("thing", {"thing": fail}).build("thing")


@pytest.mark.parametrize("cfg", [{}, {"args": {}}, {"name": "engine", "arg": {}}, "engine", None])
def test_wrong_configs(engines: Registry, cfg: Any) -> None:
    with pytest.raises(
        InvalidInputError, match=r"The config of the engine must have the keys `name` and, if needed, `args`"
    ):
        engines.build_by_cfg(cfg)


def test_args_must_be_a_mapping(engines: Registry) -> None:
    with pytest.raises(InvalidInputError, match=r"`args` in the config of the engine must be a mapping, got \[1\]"):
        engines.build_by_cfg({"name": "engine", "args": [1]})


@pytest.mark.parametrize("value", [3, None, "nocolon", "a:b:c"])
def test_only_constructors_can_be_registered(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="The engine 'x' must be a constructor or its place as"):
        Registry("engine")["x"] = value


def test_parameters_of_what_does_not_tell() -> None:
    assert get_parameters(Car) is None
    assert list(get_parameters(Engine) or ()) == ["power", "fuel"]

"""The documented public API, read from the list of names and signatures kept in `tests/data/documented_api.txt`."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

LIST = Path(__file__).parent.parent / "data" / "documented_api.txt"


class Documented(NamedTuple):
    """A callable: where it is, its parameters in order, and the text of the defaults that it has."""

    module: str
    path: str  # `name` or `Class.method`
    parameters: tuple[str, ...]
    defaults: dict[str, str]
    is_plain: bool  # False where the list gives a property, which has no parameters

    @property
    def name(self) -> str:
        return f"{self.module}.{self.path}"


def parse_call(text: str) -> tuple[str, tuple[str, ...], dict[str, str], bool]:
    """Take `name(a, b=1)` apart."""
    if "(" not in text:
        return text, (), {}, False
    name, _, rest = text.partition("(")
    source = rest.rpartition(")")[0].replace("<cache path>", "'<cache path>'")
    arguments = ast.parse(f"def f({source}): ...").body[0].args  # type: ignore[attr-defined]
    names = tuple(a.arg for a in arguments.args)
    given = arguments.defaults
    defaults = {n: ast.unparse(d) for n, d in zip(names[len(names) - len(given) :], given, strict=True)}
    return name, names, defaults, True


def read_documented() -> Iterator[Documented]:
    """Give every documented callable, methods included."""
    module = ""
    for line in LIST.read_text().splitlines():
        if not line.startswith(" "):
            module = line.strip()
            continue
        first, *methods = line.strip().removeprefix("class ").split("; ")
        owner, *rest = parse_call(first)
        yield Documented(module, owner, *rest)
        for method in methods:
            name, *rest = parse_call(method)
            yield Documented(module, f"{owner}.{name}", *rest)

"""What the structure tests look at: the package's files and the imports in them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import oml

ROOT = Path(oml.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


def find_imports(text: str) -> Iterator[str]:
    """Give each module of `oml` that the text imports, wherever the import stands."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "oml")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "oml":
            if node.module == "oml":  # from oml import x: the folder is the imported name
                yield from (f"oml.{alias.name}" for alias in node.names)
            else:
                yield str(node.module)

"""Files and functions stay small enough to be read at one sitting."""

import ast

import pytest

from tests.structure.modules import FILES, ROOT

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60  # without the docstring
EXCEPTIONS: dict[str, str] = {}  # "folder/file.py" or "folder/file.py:function" -> the reason


def find_excess(name: str, text: str) -> list[str]:
    """Give what is too long in a file."""
    found = []
    if len(text.splitlines()) > MAX_FILE_LINES:
        found.append(name)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0]
            documented = ast.get_docstring(node) is not None
            docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
            if (node.end_lineno or 0) - node.lineno + 1 - docstring > MAX_FUNCTION_LINES:
                found.append(f"{name}:{node.name}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_size(path):
    name = path.relative_to(ROOT).as_posix()
    assert [excess for excess in find_excess(name, path.read_text()) if excess not in EXCEPTIONS] == []


def test_excess_is_seen():
    assert find_excess("a.py", "x = 1\n" * 301) == ["a.py"]
    body = "\n".join(["    x = 1"] * 61)
    assert find_excess("a.py", f"def f():\n{body}\n") == ["a.py:f"]
    docstring = "\n".join(["    '''doc", *["    line"] * 61, "    '''"])
    assert find_excess("a.py", f"def f():\n{docstring}\n    return 1\n") == []


def test_exceptions_are_needed():
    files = {path.relative_to(ROOT).as_posix(): path.read_text() for path in FILES}
    needed = {excess for name, text in files.items() for excess in find_excess(name, text)}
    assert set(EXCEPTIONS) <= needed

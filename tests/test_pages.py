"""Every Python block of the README and of the documentation runs, each page as one script, on generated data."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def read_blocks(text: str) -> list[str]:
    return BLOCK.findall(text)


@pytest.mark.parametrize("page", [p for p in PAGES if read_blocks(p.read_text())], ids=lambda p: p.name)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": page.stem}
    for block in read_blocks(page.read_text()):
        exec(compile(block, str(page), "exec"), names)


def test_the_readme_has_blocks_and_they_are_found():
    assert read_blocks((ROOT / "README.md").read_text())
    assert read_blocks("a\n```python\nx = 1\n```\n```sh\nls\n```\n") == ["x = 1\n"]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_within_the_project_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []

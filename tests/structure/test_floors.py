"""A folder imports only from lower floors: never upwards, never from another folder of its own floor."""

import pytest

from tests.structure.modules import FILES, ROOT, find_imports

FLOORS = [
    {"const", "errors", "lazy", ""},  # "" is `import oml` itself: the version
    {"interfaces"},
    {"functional"},
    {"utils"},
    {"miners", "samplers", "transforms", "ddp", "visualization"},
    {"losses", "models", "datasets"},
    {"inference"},
    {"retrieval"},
    {"metrics"},
    {"registry"},
    {"bundles"},
    {"export"},
    {"lightning"},
    {"cli"},
]
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}


def find_climbs(folder: str, text: str) -> list[str]:
    """Give the imports of the text that a file of the folder must not have."""
    climbs = []
    for module in find_imports(text):
        target = [*module.split("."), ""][1]
        if target != folder and FLOOR_OF.get(target, -1) >= FLOOR_OF[folder]:
            climbs.append(module)
    return climbs


def folder_of(path) -> str:
    first = path.relative_to(ROOT).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down(path):
    assert folder_of(path) in FLOOR_OF, f"{path} stands on no floor: add it to FLOORS and docs/architecture.md"
    assert find_climbs(folder_of(path), path.read_text()) == []


@pytest.mark.parametrize(
    ("folder", "text", "expected"),
    [
        ("losses", "from oml.metrics import evaluate", ["oml.metrics"]),
        ("losses", "def f():\n    import oml.models.conv", ["oml.models.conv"]),
        ("miners", "from oml import datasets", ["oml.datasets"]),
        ("losses", "from oml.miners import AllTripletsMiner\nfrom oml.losses.triplet import x\nimport torch", []),
    ],
)
def test_climbs_are_seen(folder, text, expected):
    assert find_climbs(folder, text) == expected


def test_the_page_on_architecture_names_the_same_floors():
    page = (ROOT.parent / "docs" / "architecture.md").read_text()
    for floor, names in enumerate(FLOORS):
        line = next(line for line in page.splitlines() if line.strip().startswith(f"{floor} "))
        assert {name for name in names if name} <= set(line.replace(",", " ").split()), line

import numpy as np
import pytest

from oml.utils.checks import duplicates
from oml.utils.checks.duplicates import find_equal, find_similar


def flip(looks: np.ndarray, n_bits: int, rng: np.random.Generator) -> np.ndarray:
    bits = np.unpackbits(looks.view(np.uint8), axis=1)
    for row in bits:
        row[rng.choice(128, n_bits, replace=False)] ^= 1
    return np.packbits(bits, axis=1).view(np.uint64)


@pytest.mark.parametrize("block", [1, 7, 10**6])
@pytest.mark.parametrize("n_bits", [0, 1, 10, 11])
def test_similar(monkeypatch: pytest.MonkeyPatch, block: int, n_bits: int) -> None:
    monkeypatch.setattr(duplicates, "BLOCK", block)
    rng = np.random.default_rng(0)
    others = rng.integers(0, 2**64, (40, 2), dtype=np.uint64)
    chosen = rng.permutation(40)[:15]
    looks = np.concatenate([flip(others[chosen], n_bits, rng), rng.integers(0, 2**64, (5, 2), dtype=np.uint64)])
    found = find_similar(looks, others)
    assert found.tolist() == ([*chosen] if n_bits <= 10 else [-1] * 15) + [-1] * 5


def test_similar_against_all_pairs() -> None:
    rng = np.random.default_rng(1)
    base = rng.integers(0, 2**64, (4, 2), dtype=np.uint64)
    looks, others = (flip(base[rng.integers(4, size=30)], 7, rng) for _ in range(2))  # crowded: up to 14 bits apart
    different = np.bitwise_count(looks[:, None] ^ others[None]).sum(axis=-1)
    found = find_similar(looks, others)
    assert ((found >= 0) == (different.min(axis=1) <= 10)).all()
    assert (different[np.arange(30), found][found >= 0] <= 10).all()
    assert 0 < (found >= 0).sum() < 30


def test_flat_pictures_are_not_similar() -> None:
    flat = np.zeros((3, 2), dtype=np.uint64)
    assert find_similar(flat, flat).tolist() == [-1] * 3


@pytest.mark.parametrize("n", [0, 1])
def test_none(n: int) -> None:
    some, none = np.full((n, 2), 2**40 - 1, dtype=np.uint64), np.zeros((0, 2), dtype=np.uint64)
    for find in (find_equal, find_similar):
        assert find(some, none).tolist() == [-1] * n
        assert find(none, some).tolist() == []
        assert find(some, some).tolist() == [0] * n


def test_equal() -> None:
    keys = np.array([[1, 2], [1, 3], [5, 5], [1, 2]])
    assert find_equal(keys, np.array([[5, 5], [1, 2]])).tolist() == [1, -1, 0, 1]
    assert find_equal(np.array(["a", "b"]), np.array(["c", "b"])).tolist() == [-1, 1]

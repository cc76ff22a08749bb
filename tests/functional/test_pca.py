import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA as SklearnPCA

from oml.functional.pca import PCA

SHAPES = [(2, 1), (1, 3), (3, 3), (10, 4), (4, 10), (50, 20)]


@pytest.mark.parametrize("shape", [s for s in SHAPES if s[0] > 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_sklearn(shape: tuple[int, int], dtype: torch.dtype, generator: torch.Generator) -> None:
    x = torch.randn(shape, generator=generator, dtype=dtype) * torch.arange(1, shape[1] + 1) + 5
    ours, theirs = PCA(x), SklearnPCA(svd_solver="full").fit(x.numpy())
    tolerance = {"rtol": 1e-3, "atol": 1e-4} if dtype is torch.float32 else {"rtol": 1e-8, "atol": 1e-8}
    n = min(shape[0] - 1, shape[1])  # the last component of N <= D is arbitrary, as its variance is zero
    np.testing.assert_allclose(ours.mean[0], theirs.mean_, **tolerance)
    np.testing.assert_allclose(ours.components[:n], theirs.components_[:n], **tolerance)
    np.testing.assert_allclose(ours.singular_values, theirs.singular_values_, **tolerance)
    np.testing.assert_allclose(ours.explained_variance, theirs.explained_variance_, **tolerance)
    np.testing.assert_allclose(ours.explained_variance_ratio, theirs.explained_variance_ratio_, **tolerance)
    np.testing.assert_allclose(ours.transform(x, n), theirs.transform(x.numpy())[:, :n], **tolerance)
    assert ours.components.dtype == ours.transform(x).dtype == dtype


@given(st.sampled_from(SHAPES), st.integers(0, 1000))
@settings(deadline=None)
def test_invariants(shape: tuple[int, int], seed: int) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    pca = PCA(x)
    k = min(shape)
    assert pca.components.shape == (k, shape[1])
    torch.testing.assert_close(pca.components @ pca.components.T, torch.eye(k, dtype=torch.float64))
    assert (pca.components.gather(1, pca.components.abs().argmax(1, keepdim=True)) > 0).all()
    assert (pca.explained_variance.diff() <= 0).all()
    torch.testing.assert_close(pca.inverse_transform(pca.transform(x)), x)  # K components lose nothing of the data
    if shape[0] > 1:
        total = x.var(dim=0).sum()
        torch.testing.assert_close(pca.explained_variance.sum(), total)
        one = pca.inverse_transform(pca.transform(x, 1))
        torch.testing.assert_close((one - x).square().sum() / (shape[0] - 1), total - pca.explained_variance[0])


def test_one_row_and_equal_rows() -> None:
    for x in (torch.ones(1, 4), torch.ones(3, 4)):
        pca = PCA(x)
        assert pca.explained_variance_ratio.tolist() == pca.explained_variance.tolist() == [0] * min(x.shape)
        assert pca.calc_principal_axes_number((0, 0.5, 1)).tolist() == [1, 1, 1]
        torch.testing.assert_close(pca.inverse_transform(pca.transform(x)), x)


def test_memory_for_wide_embeddings() -> None:
    """With a D x D matrix this would need 10 GB."""
    pca = PCA(torch.eye(3, 50_000))
    assert pca.components.shape == (3, 50_000)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64])
def test_other_dtypes(dtype: torch.dtype, generator: torch.Generator) -> None:
    x = torch.randint(-3, 4, (10, 4), generator=generator).to(dtype)
    pca = PCA(x)
    assert pca.components.dtype == torch.float32
    torch.testing.assert_close(pca.transform(x), PCA(x.float()).transform(x.float()))


@pytest.mark.parametrize(
    ("x", "shares", "expected"),
    [
        (torch.eye(4, 10), (0.5, 1), [2, 5]),  # ratios 1/3, 1/3, 1/3, 0
        (torch.eye(4, 10), (0, 0.33, 0.34), [1, 1, 2]),
        (torch.diag(torch.tensor([1.0, 2.0])).repeat(1, 1), (0.99, 1), [1, 3]),  # two points: one direction, then zero
        (torch.cat([torch.eye(4), -torch.eye(4)]), (0.25, 0.5, 0.75, 1.0, 0.2), [2, 3, 4, 5, 1]),  # four times 1/4
        (
            torch.cat([torch.eye(10), -torch.eye(10)]),
            (0.1, 0.3, 0.7, 1),
            [2, 4, 8, 11],
        ),  # rounding sums
    ],
)
def test_principal_axes_number(x: torch.Tensor, shares: tuple[float, ...], expected: list[int]) -> None:
    for dtype in (torch.float32, torch.float64):
        assert PCA(x.to(dtype)).calc_principal_axes_number(shares).tolist() == expected


def test_errors() -> None:
    pca = PCA(torch.eye(3, 5))
    for n in (0, -1, 4):
        with pytest.raises(ValueError, match=rf"n_components must be in 1\.\.3, .*, got {n}"):
            pca.transform(torch.eye(3, 5), n)
    with pytest.raises(ValueError, match="There are 3 components, got 4 coordinates"):
        pca.inverse_transform(torch.ones(2, 4))
    for shares in ((), (0.5, 1.1), (-0.1,), (float("nan"),)):
        with pytest.raises(ValueError, match="pcf_variance must hold at least one number, all within"):
            pca.calc_principal_axes_number(shares)
    for shape in ((3,), (0, 3), (3, 0)):
        with pytest.raises(AssertionError, match=r"embeddings must be \(N, D\).*got the shape"):
            PCA(torch.ones(shape))
    with pytest.raises(torch.linalg.LinAlgError):
        PCA(torch.full((3, 3), float("nan")))

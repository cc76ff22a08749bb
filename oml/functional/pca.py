"""Principal components of embeddings."""

from collections.abc import Iterable

import torch
from torch import Tensor

from oml.errors import check


class PCA:
    """
    Principal component analysis of embeddings (N, D), by an economical singular value decomposition.

    With K = min(N, D), and at least float32 whatever the embeddings are:

    * `components` (K, D): orthonormal directions, by descending variance along them. The sign of each is such that its
      largest absolute entry is positive.
    * `mean` (1, D).
    * `singular_values` (K,): of the centred embeddings.
    * `explained_variance` (K,): along each component, with N - 1 degrees of freedom (zeros if N is 1).
    * `explained_variance_ratio` (K,): the former divided by its sum (zeros if all embeddings are equal).

    Time O(N D K), memory O(N D): never a D x D matrix if D exceeds N. The numbers are those of scikit-learn's `PCA`.

    Raises:
        InvalidInputError: the embeddings are not 2-D, or there is none.
        torch.linalg.LinAlgError: the decomposition does not converge, e.g. because there are NaNs.

    Example:
        >>> x = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
        >>> pca = PCA(x)
        >>> pca.explained_variance_ratio
        tensor([1., 0.])
        >>> pca.transform(x, n_components=1)
        tensor([[-1.],
                [ 1.]])

    """

    components: Tensor
    mean: Tensor
    singular_values: Tensor
    explained_variance: Tensor
    explained_variance_ratio: Tensor

    def __init__(self, embeddings: Tensor):
        check(
            embeddings.ndim == 2 and embeddings.numel() > 0,
            f"embeddings must be (N, D) with at least one row and one column, got the shape {tuple(embeddings.shape)}.",
        )
        x = _at_least_float32(embeddings)
        self.mean = x.mean(dim=0, keepdim=True)
        _, self.singular_values, components = torch.linalg.svd(x - self.mean, full_matrices=False)
        largest = components.gather(1, components.abs().argmax(dim=1, keepdim=True))
        self.components = components * torch.where(largest < 0, -1, 1)
        squares = self.singular_values**2
        self.explained_variance = squares / max(len(x) - 1, 1)
        total = squares.sum()
        self.explained_variance_ratio = squares / torch.where(total > 0, total, 1)

    def transform(self, embeddings: Tensor, n_components: int | None = None) -> Tensor:
        """
        Give the coordinates (M, n_components) of embeddings (M, D) along the first components, all K by default.

        Raises:
            ValueError: the number of components is not in 1..K.

        """
        n_available = len(self.components)
        n_components = n_available if n_components is None else n_components
        if not 1 <= n_components <= n_available:
            raise ValueError(f"n_components must be in 1..{n_available}, the components known, got {n_components}.")
        return (_at_least_float32(embeddings) - self.mean) @ self.components[:n_components].T

    def inverse_transform(self, embeddings: Tensor) -> Tensor:
        """
        Give points (M, D) of the original space from their coordinates (M, P) along the first P components.

        Raises:
            ValueError: there are more coordinates than components.

        """
        n_coordinates, n_available = embeddings.shape[1], len(self.components)
        if n_coordinates > n_available:
            raise ValueError(f"There are {n_available} components, got {n_coordinates} coordinates.")
        return _at_least_float32(embeddings) @ self.components[:n_coordinates] + self.mean

    def calc_principal_axes_number(self, pcf_variance: Iterable[float]) -> Tensor:
        """
        Give how many axes are needed to explain more than each share of the variance, int64.

        For a share v it is one more than the number of leading sets of components that together explain at most v, so
        for v = 1 it may exceed the rank. Sums that differ from v by rounding alone count as equal to it. Embeddings
        that are all equal have one axis.

        Raises:
            ValueError: no share is given, or one of them is outside [0, 1].

        """
        shares = [float(v) for v in pcf_variance]
        if not shares or not all(0 <= v <= 1 for v in shares):
            raise ValueError(f"pcf_variance must hold at least one number, all within [0, 1], got {shares}.")
        ratios = self.explained_variance_ratio
        if not ratios.any():
            return torch.ones(len(shares), dtype=torch.long, device=ratios.device)
        tolerance = 10 * torch.finfo(ratios.dtype).eps
        bounds = torch.tensor(shares, dtype=torch.float64, device=ratios.device) + tolerance
        return torch.searchsorted(ratios.double().cumsum(0), bounds, right=True) + 1


def _at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))

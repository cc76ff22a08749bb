"""Triplets of the means of labels: a mean, its most distant item, the nearest other mean."""

import torch
from torch import Tensor

from oml.errors import check, show_some
from oml.functional.distances import pairwise_dist
from oml.interfaces.miners import ITripletsMiner, TLabels, TTriplets, check_labels


class HardClusterMiner(ITripletsMiner):
    """
    Gives a triplet per label: the mean of its features, its item farthest from the mean, the nearest mean of another.

    The loss of them draws the most distant item of a label to the label's mean and pushes the nearest means apart. What
    is hardest is decided by L2 distances, detached; gradients flow into the means and into the items. Features of half
    precision are computed, and given back, in float32. Of equally hard ones any is taken. Labels are grouped where they
    are: if that is an accelerator this waits for it, because the number of labels decides the shapes; labels that are
    still on the processor, or a list, cost no wait.

    Example:
        >>> features = torch.tensor([[0.0], [1.0], [5.0], [3.0]])
        >>> [part.flatten().tolist() for part in HardClusterMiner().sample(features, labels=[0, 0, 1, 1])]
        [[0.5, 4.0], [0.0, 5.0], [4.0, 0.5]]

    """

    def sample(self, features: Tensor, labels: TLabels) -> TTriplets:
        """
        Give anchors, positives and negatives (L, D) for the features (B, D) of L labels with as many items each.

        Labels are in ascending order.

        Raises:
            TypeError: the labels are neither a tensor nor a list.
            InvalidInputError: labels have different numbers of items, or one each, or there is one label only, or not
                as many labels as features.

        """
        order, n_labels = _group(labels, features)
        wide = features if features.dtype == torch.float64 else features.float()
        order = order.to(features.device, non_blocking=True)
        grouped = wide.index_select(0, order).view(n_labels, -1, features.shape[1])
        means = grouped.mean(dim=1)
        with torch.no_grad():
            farthest = self._count_intra_label_distances(grouped, means).argmax(dim=1)
            distances = pairwise_dist(means, means).fill_diagonal_(torch.inf)
            nearest = distances.argmin(dim=1)
        positives = grouped.gather(1, farthest[:, None, None].expand(-1, 1, means.shape[1])).squeeze(1)
        return means, positives, means.index_select(0, nearest)

    @staticmethod
    def _get_labels_mask(labels: TLabels) -> Tensor:
        """Give which items have which label: (L, N), labels ascending."""
        labels = torch.as_tensor(labels).reshape(-1)
        mask: Tensor = torch.unique(labels)[:, None] == labels
        return mask

    @staticmethod
    def _count_intra_label_distances(embeddings: Tensor, mean_vectors: Tensor) -> Tensor:
        """Give squared L2 distances (L, I) of the features (L, I, D) to the means of their labels (L, D)."""
        return (embeddings - mean_vectors[:, None]).square().sum(dim=2)


def _group(labels: TLabels, features: Tensor) -> tuple[Tensor, int]:
    """Give the positions of the items, ordered by label, and the number of labels."""
    ordered, order = check_labels(labels, features).sort(stable=True)
    names, counts = torch.unique_consecutive(ordered, return_counts=True)
    numbers = torch.unique(counts).tolist()
    check(
        len(numbers) == 1,
        "Each label of a batch must have the same number of items, "
        + (f"got {show_some(numbers)}." if numbers else "got an empty batch.")
        + " Use BalanceSampler(labels, n_labels=..., n_instances=...).",
    )
    check(
        numbers[0] > 1 and len(names) > 1,
        f"A batch must have at least two labels with at least two items each, got {len(names)} with {numbers[0]}. "
        "Use BalanceSampler(labels, n_labels=..., n_instances=...) with both numbers at least 2.",
    )
    return order, len(names)

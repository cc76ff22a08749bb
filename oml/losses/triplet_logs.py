"""What triplet losses say about a batch: the share of triplets with a loss, and mean distances."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from oml.interfaces.masks import count_in_rows
from oml.interfaces.miners import TripletDistances

TLogs = Mapping[str, Tensor | float]


def calc_logs(losses: Tensor, near: Tensor, far: Tensor, is_original: Tensor | None = None) -> TLogs:
    """
    Give the logs of listed triplets; of none all are 0.

    Args:
        losses: Losses of the triplets (T,).
        near: Distances to the positives (T,).
        far: Distances to the negatives (T,).
        is_original: Which triplets are from the batch alone (T,), bool; then both kinds are also logged apart, as NaN
            where there is no triplet of a kind.

    """
    losses, near, far = losses.detach(), near.detach(), far.detach()
    n_triplets = max(1, losses.numel())
    logs = _name_logs(losses.count_nonzero() / n_triplets, near.sum() / n_triplets, far.sum() / n_triplets)
    if is_original is None:
        return logs
    kinds = {
        kind: _name_logs(
            (losses * mask).count_nonzero() / mask.sum(), *((x * mask).sum() / mask.sum() for x in (near, far))
        )
        for kind, mask in (("orig", is_original), ("bank", ~is_original))
    }
    return {**logs, **_name_kinds(kinds)}


def calc_logs_of_parts(
    parts: Sequence[TripletDistances], n_active: Sequence[Tensor], n_triplets: Sequence[Tensor]
) -> TLogs:
    """
    Give the logs of triplets that are not listed; of none all are 0.

    Args:
        parts: The distances. If they say which are original, both kinds are also logged apart, as in `calc_logs`.
        n_active: How many triplets of each part have a loss, without weights.
        n_triplets: How many triplets each part stands for.

    """
    sums = [
        torch.stack([active * part.weight, *(total * part.weight for total in _sum_distances(part))])
        for part, active in zip(parts, n_active, strict=True)
    ]
    logs = _name_logs(*(sum_all(sums) / sum_all(n_triplets).clamp_min(1)).unbind())
    if parts[0].is_original is None:
        return logs
    kinds = {}
    for kind, is_original in (("orig", True), ("bank", False)):
        of_kind = [i for i, part in enumerate(parts) if part.is_original == is_original]
        shares = [sums[i] for i in of_kind], [n_triplets[i] for i in of_kind]
        kinds[kind] = _name_logs(*(sum_all(shares[0]) / sum_all(shares[1])).unbind()) if of_kind else _NOTHING
    return {**logs, **_name_kinds(kinds)}


def sum_all(tensors: Sequence[Tensor]) -> Tensor:
    """
    Give the sum of tensors of one shape; there must be one at least.

    Example:
        >>> sum_all([torch.tensor(1), torch.tensor(2)])
        tensor(3)

    """
    total = tensors[0]
    for tensor in tensors[1:]:
        total = total + tensor
    return total


def _sum_distances(part: TripletDistances) -> tuple[Tensor, Tensor]:
    """Give the sums of the distances to positives and to negatives over the triplets, which repeat them."""
    near, far = part.near.detach(), part.far.detach()
    has_near, has_far = near != -math.inf, far != math.inf
    near_sums = torch.where(has_near, near, 0).sum(dim=1)
    far_sums = torch.where(has_far, far, 0).sum(dim=1)
    return (near_sums * count_in_rows(has_far)).sum(), (far_sums * count_in_rows(has_near)).sum()


def _name_logs(active: Tensor | float, near: Tensor | float, far: Tensor | float) -> dict[str, Tensor | float]:
    return {"active_tri": active, "pos_dist": near, "neg_dist": far}


_NOTHING = _name_logs(math.nan, math.nan, math.nan)


def _name_kinds(kinds: Mapping[str, TLogs]) -> TLogs:
    named = {}
    for kind, logs in kinds.items():
        named[f"{kind}_active_tri"] = logs["active_tri"]
        named[f"pos_dist_{kind}"], named[f"neg_dist_{kind}"] = logs["pos_dist"], logs["neg_dist"]
    return named

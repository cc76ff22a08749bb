"""How many candidates a mask names, and whether it names any."""

import torch
from torch import Tensor

# elements that `sum` may widen at once on a processor (measured for masks of up to 1024 x 10240)
CPU_BLOCK = 2**20


def count_in_rows(mask: Tensor) -> Tensor:
    """
    Give how many candidates the mask (A, C) names for each anchor: int64 (A,).

    Example:
        >>> count_in_rows(torch.tensor([[True, False, True], [False, False, False]]))
        tensor([2, 0])

    """
    n_rows = max(1, CPU_BLOCK // max(1, mask.shape[1]))
    if mask.device.type != "cpu" or len(mask) <= n_rows:
        return mask.sum(dim=1)
    # `sum` first widens all of it to eight bytes an element: of a large mask that takes twenty times as long
    return torch.cat([rows.sum(dim=1) for rows in mask.split(n_rows)])


def any_in_rows(mask: Tensor) -> Tensor:
    """Give whether the mask (A, C) names a candidate of each anchor: bool (A,)."""
    if not mask.shape[1]:
        return mask.any(dim=1)
    # on a processor forty times as fast as `any`
    return mask.view(torch.uint8).amax(dim=1).bool()

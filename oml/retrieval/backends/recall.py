"""How much of the exact answers an approximate search finds."""

import torch

from oml.errors import check
from oml.functional.search import NO_ID, Answers


def calc_recall(found: Answers, exact: Answers) -> float:
    """
    Give the share of the exact answers that were found, over all queries; 1 where there are no exact answers.

    Of equal distances at the end any may be found: what is as near as the last exact answer (to 1e-5 of it) counts.

    Args:
        found: what is measured.
        exact: the answers of `Exact` to the same queries, for the same k.

    Raises:
        InvalidInputError: the numbers of queries differ.

    Example:
        >>> distances, lengths = torch.zeros(1, 2), torch.tensor([2])
        >>> exact = Answers(torch.tensor([[1.0, 2.0]]), torch.tensor([[4, 7]]), lengths)
        >>> calc_recall(Answers(torch.tensor([[1.0, 3.0]]), torch.tensor([[4, 8]]), lengths), exact)
        0.5

    """
    check(
        len(found.ids) == len(exact.ids),
        f"The answers must belong to the same queries, got {len(found.ids)} and {len(exact.ids)} queries.",
    )
    n_wanted = int(exact.lengths.sum())
    if not n_wanted:
        return 1.0
    last = exact.distances.gather(1, (exact.lengths - 1).clamp(min=0)[:, None])
    is_near = (found.ids != NO_ID) & (found.distances <= last + 1e-5 * last.abs()) & (exact.lengths > 0)[:, None]
    return float(torch.minimum(is_near.sum(1), exact.lengths).sum() / n_wanted)

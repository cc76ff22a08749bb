"""Search among galleries that are spread over processes: each searches its part, then all merge the answers."""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from oml.errors import check
from oml.functional.search import NO_ID, Answers, search
from oml.functional.search_exact import sort_answers
from oml.functional.search_exclusion import TKeys
from oml.functional.search_metric import TMetric
from oml.functional.search_rows import TMatrix


def search_sharded(
    queries: TMatrix,
    galleries: TMatrix,
    k: int,
    *,
    metric: TMetric = "l2",
    exclude: Sequence[TKeys] = (),
    max_memory: int | None = None,
    group: dist.ProcessGroup | None = None,
) -> Answers:
    """
    Give in every process what `search` gives for the galleries of all processes one after another.

    Every process of the group has to call it. Without `torch.distributed` it is `search`.

    Args:
        queries: (Q, D), the same in every process.
        galleries: the galleries of this process, (G_rank, D); none, (0, D), is fine. Ids count through the processes in
            the order of their ranks.
        k: answers wanted, at least 1.
        metric: as in `search`.
        exclude: pairs of keys of the queries, (Q,), and of the galleries of this process, (G_rank,).
        max_memory: bytes that each process takes beyond the input and the answers of all processes.
        group: the processes; all by default.

    Raises:
        InvalidInputError: as in `search`, or the processes differ in the number of queries or the dtype. Where one
            process raises alone, the others wait for it until their launcher ends them.

    """
    if not (dist.is_available() and dist.is_initialized()):
        return search(queries, galleries, k, metric=metric, exclude=exclude, max_memory=max_memory)
    answers = search(queries, galleries, k, metric=metric, exclude=exclude, max_memory=max_memory)
    is_wide = answers.distances.dtype == torch.float64
    own = torch.tensor([len(galleries), len(answers.ids), int(is_wide)], device=answers.ids.device)
    sizes, n_queries, are_wide = torch.stack(_gather(own, group)).unbind(1)
    check(
        len(n_queries.unique()) == 1 and len(are_wide.unique()) == 1,
        f"Every process must search for the same queries in the same dtype, got {n_queries.tolist()} queries, float64 "
        f"in {int(are_wide.sum())} of {len(are_wide)} processes. Give all queries to each process.",
    )
    width = min(k, int(sizes.max()))
    missing = width - answers.ids.shape[1]
    starts = (sizes.cumsum(0) - sizes)[dist.get_rank(group)]
    ids = torch.where(answers.ids == NO_ID, NO_ID, answers.ids + starts)
    ids = torch.nn.functional.pad(ids, (0, missing), value=NO_ID)
    distances = torch.nn.functional.pad(answers.distances, (0, missing), value=torch.inf)
    distances, ids = sort_answers(torch.cat(_gather(distances, group), 1), torch.cat(_gather(ids, group), 1))
    width = min(k, int(sizes.sum()))
    distances, ids = distances[:, :width].contiguous(), ids[:, :width].contiguous()
    return Answers(distances, ids, (ids != NO_ID).sum(1))


def _gather(values: Tensor, group: dist.ProcessGroup | None) -> list[Tensor]:
    parts = [torch.empty_like(values) for _ in range(dist.get_world_size(group))]
    dist.all_gather(parts, values.contiguous(), group=group)
    return parts

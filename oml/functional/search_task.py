"""The search itself: block by block a product proposes candidates, and distances taken from the vectors decide."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from oml.functional.search_candidates import Candidates, get_capacity
from oml.functional.search_exact import calc_values, search_densely, search_exactly, sort_answers
from oml.functional.search_exclusion import Exclusion
from oml.functional.search_metric import Metric
from oml.functional.search_plan import Plan, make_plan
from oml.functional.search_rows import Rows
from oml.functional.search_scores import Scorer
from oml.functional.search_selection import find_kth_largest
from oml.functional.search_threads import run_in_threads

_MAX_EXCLUDED = 64  # pairs listed per query; beyond, all keys are compared
# all pairs are compared from the vectors where more than one of so many is an answer, and there are enough of them
_DENSE, _LEAST_DENSE = 4, 1000
_BYTES_PER_DENSE_PAIR = 48
_HOPELESS = 0.5  # share of undecided queries at which a block is left to the next product

TOnProgress = Callable[[int], object]


@dataclass(frozen=True)
class SearchTask:
    """What is searched, and how; on a CPU each thread searches blocks of queries of its own."""

    queries: Rows
    galleries: Rows
    metric: Metric
    dtype: torch.dtype  # of the distances
    k: int
    exclusion: Exclusion
    memory: int
    max_query_block: int | None
    n_workers: int
    scorers: list[Scorer]  # the fastest first; what one leaves in doubt, the next one searches again

    def run(self, distances: Tensor, ids: Tensor, on_progress: TOnProgress) -> None:
        """Fill in the answers, both (Q, k)."""
        positions = torch.arange(self.queries.n, device=self.queries.device)
        n = self.galleries.n
        is_dense = max(_LEAST_DENSE, n) <= _DENSE * self.k and n * _BYTES_PER_DENSE_PAIR <= self.memory // 2
        for scorer in () if is_dense else self.scorers:
            if len(positions):
                positions = self._search(scorer, positions, distances, ids, on_progress)
        if not len(positions):
            return
        plan = make_plan(len(positions), n, self.queries.dim, 2 * self.k, 8, self.memory, ids.device)
        find = search_densely if is_dense else search_exactly
        size = self.memory // 2 // (n * _BYTES_PER_DENSE_PAIR) if is_dense else plan.queries
        for part in positions.split(size):
            queries = self.queries.take(part, torch.float64)
            distances[part], ids[part] = find(
                queries, part, self.galleries, self.k, self.exclusion, self.metric, self.dtype, plan
            )
            on_progress(len(part))

    def _search(
        self, scorer: Scorer, positions: Tensor, distances: Tensor, ids: Tensor, on_progress: TOnProgress
    ) -> Tensor:
        """Fill in the answers of the queries at these positions, (n,); give the positions of those left in doubt."""
        n, device = len(positions), positions.device
        sizes, capacity = (n, self.galleries.n, self.queries.dim), min(get_capacity(self.k), 2 * self.galleries.n)
        itemsize = scorer.product.dtype.itemsize
        plan = make_plan(*sizes, capacity, itemsize, self.memory, device, self.n_workers)
        if self.max_query_block is not None:
            plan = replace(plan, queries=min(plan.queries, max(1, self.max_query_block)))
        is_undecided = torch.zeros(n, dtype=torch.bool, device=device)

        def work(block: slice) -> None:
            rows = positions[block]
            candidates = self._propose(scorer, rows, capacity, plan)
            distances[rows], ids[rows] = self._decide(scorer, rows, candidates, plan)
            is_undecided[block] = candidates.is_given_up

        def count_decided(block: slice) -> None:
            on_progress(block.stop - block.start - int(is_undecided[block].sum()))

        blocks = [slice(*ends) for ends in plan.split_queries(n, self.n_workers)]
        run_in_threads(work, blocks, self.n_workers, count_decided)
        return positions[is_undecided]

    def _propose(self, scorer: Scorer, positions: Tensor, capacity: int, plan: Plan) -> Candidates:
        n, product = len(positions), scorer.product
        candidates = Candidates(n, self.k, capacity, scorer.band[positions], product.roundoff)
        vectors = scorer.extend_queries(self.queries.take(positions, scorer.centre.dtype))
        runs = [slice(i, min(i + plan.queries, n)) for i in range(0, n, plan.queries)]
        hidden = [self.exclusion.list_pairs(positions[run], _MAX_EXCLUDED * (run.stop - run.start)) for run in runs]
        width = min(plan.galleries, self.galleries.n)
        room = scorer.make_room(width)
        out = torch.empty(min(plan.queries, n) * width, dtype=product.dtype, device=positions.device)
        for first, last in plan.split_galleries(self.galleries.n):
            block = scorer.extend_galleries(self.galleries.block(first, last, scorer.centre.dtype), room)
            for run, pairs in zip(runs, hidden, strict=True):
                scores = scorer.score(vectors[run], block, out)
                if pairs is None:
                    self.exclusion.hide(scores, positions[run], first, -torch.inf)
                else:
                    pairs.hide(scores, first, -torch.inf)
                candidates.add(scores, first, run.start)
            if product.is_coarse and float(candidates.is_given_up.float().mean()) > _HOPELESS:
                candidates.give_up()
                break
        return candidates

    def _decide(self, scorer: Scorer, positions: Tensor, candidates: Candidates, plan: Plan) -> tuple[Tensor, Tensor]:
        """Give the distances and ids of the best k candidates, by distances taken from the vectors."""
        queries = self.queries.take(positions, self.queries.exact_dtype)

        def calc(part: slice, ids: Tensor) -> Tensor:
            return calc_values(queries[part], self.galleries, ids, self.metric, self.dtype, plan.chunk)

        decided = []
        for part in candidates.parts():
            best, kth = candidates.best(part)
            values = calc(part, best)
            # the k-th of the best is known exactly now: only the scores of the others are in doubt
            limits = scorer.calc_limits(-find_kth_largest(-values, self.k), self.metric, positions[part])
            others = candidates.others(part, limits, kth)
            values, ids = torch.cat([values, calc(part, others)], 1), torch.cat([best, others], 1)
            decided.append(tuple(x[:, : self.k] for x in sort_answers(values, ids)))
        values, ids = (torch.cat(parts) for parts in zip(*decided, strict=True))
        return values, ids

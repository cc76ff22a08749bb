import pytest
import torch

from oml.functional.search_candidates import Candidates, get_capacity
from oml.functional.search_metric import get_metric
from oml.functional.search_product import PRODUCTS
from oml.functional.search_rows import Rows
from oml.functional.search_scores import make_scorer


@pytest.mark.parametrize("name", ["matrix", "bfloat16"])
@pytest.mark.parametrize("band", [1e-6, 0.004, 0.02])
@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("shift", [1.0, -2.0, -0.5])
def test_nothing_within_the_band_is_ruled_out(name, band, k, shift, generator):
    """The scores are rounded as they are written; what the exact ones leave possible has to be kept all the same."""
    product = PRODUCTS[name]
    exact = torch.rand(200, 400, generator=generator) + shift
    candidates = Candidates(200, k, 400, torch.full((200,), band), product.roundoff)
    for start in range(0, 400, 80):
        candidates.add(exact[:, start : start + 80].to(product.dtype).contiguous(), start)
    part = slice(0, 200)
    best, kth = candidates.best(part)
    assert ((best >= 0).sum(1) >= k).all()
    limits = kth - band - product.roundoff * (kth.abs() + (kth.abs() + band) * 2)
    found = torch.cat([best, candidates.others(part, limits, kth)], dim=1)
    wanted = exact > exact.topk(k).values[:, -1:] - 0.99 * band
    for ids, row in zip(found, wanted, strict=True):
        assert set(row.nonzero()[:, 0].tolist()) <= set(ids.tolist())
    assert not candidates.is_given_up.any()
    slack = 0.06 if product.is_coarse else 0.02 * band + 1e-6
    assert (found >= 0).sum() <= (exact >= exact.topk(k).values[:, -1:] - band - slack).sum()


def test_too_many_within_the_band_are_given_up():
    k = 3
    candidates = Candidates(2, k, get_capacity(k), torch.tensor([0.5, 1e-6]))
    candidates.add(torch.linspace(0, 0.4, 100).repeat(2, 1), 0)
    assert candidates.is_given_up.tolist() == [True, False]
    best, kth = candidates.best(slice(0, 2))
    assert (best >= 0).sum(1).tolist() == [0, 3]
    assert candidates.others(slice(0, 2), kth - 0.5, kth).numel() <= 2 * 97
    candidates.give_up()
    assert candidates.is_given_up.all()
    assert candidates.counts.tolist() == [0, 0]


@pytest.mark.parametrize("name", ["matrix", "bfloat16"])
@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
@pytest.mark.parametrize("offset", [0.0, 5.0])
def test_limits_by_values_rule_out_nothing_as_near(name, metric, offset, generator):
    """A gallery whose value is at most the given one scores at least the limit, whatever the product rounds."""
    product, chosen = PRODUCTS[name], get_metric(metric)
    q, g = (torch.randn(n, 70, generator=generator) + offset for n in (20, 300))
    rows = Rows(q, "queries").to(q.device, chosen.is_unit), Rows(g, "galleries").to(g.device, chosen.is_unit)
    centre = torch.zeros(70) if chosen.is_product else rows[1].calc_centre().float()
    sizes = [r.measure(centre) for r in rows]
    scorer = make_scorer(product, chosen, torch.float32, centre, *sizes)
    vectors = [r.block(0, r.n, torch.float64) for r in rows]
    values = chosen.calc_values(vectors[0][:, None], vectors[1][None], torch.empty(20, 300, 70, dtype=torch.float64))
    values = values.float()
    block = scorer.extend_galleries(rows[1].block(0, 300, torch.float32), scorer.make_room(300))
    extended = scorer.extend_queries(rows[0].block(0, 20, torch.float32))
    scores = scorer.score(extended, block, torch.empty(6000, dtype=product.dtype)).double()
    positions = torch.arange(20)
    for rank in (0, 10, 299):
        kth = values.sort(1).values[:, rank]
        limits = scorer.calc_limits(kth, chosen, positions)
        is_near = values <= kth[:, None]
        assert (scores >= limits[:, None])[is_near].all()
        if rank == 10:  # and it does rule out: hardly more than twice the bound of the error below the k-th
            assert (scores >= limits[:, None]).sum() < 0.7 * scores.numel()
    assert (scorer.calc_limits(torch.full((20,), torch.inf), chosen, positions) == -torch.inf).all()

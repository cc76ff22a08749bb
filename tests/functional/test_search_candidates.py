import pytest
import torch

from oml.functional.search_candidates import Candidates, get_capacity
from oml.functional.search_product import PRODUCTS


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
    candidates.finish()
    wanted = exact > exact.topk(k).values[:, -1:] - 0.99 * band
    for ids, row in zip(candidates.ids, wanted, strict=True):
        assert set(row.nonzero()[:, 0].tolist()) <= set(ids.tolist())
    assert not candidates.is_given_up.any()
    slack = 0.06 if product.is_coarse else 0.02 * band + 1e-6
    assert (candidates.ids >= 0).sum() <= (exact >= exact.topk(k).values[:, -1:] - band - slack).sum()


def test_too_many_within_the_band_are_given_up():
    k = 3
    candidates = Candidates(2, k, get_capacity(k), torch.tensor([0.5, 1e-6]))
    candidates.add(torch.linspace(0, 0.4, 100).repeat(2, 1), 0)
    candidates.finish()
    assert candidates.is_given_up.tolist() == [True, False]
    assert candidates.counts.tolist() == [0, 3]
    candidates.give_up()
    assert candidates.is_given_up.all()
    assert candidates.counts.tolist() == [0, 0]

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import auc, det_curve, roc_curve

from oml.functional.metrics import calc_fnmr_at_fmr
from oml.functional.metrics.verification import calc_eer, calc_min_dcf, calc_tar_at_far
from oml.functional.metrics.verification_distances import BinnedDistances, SortedDistances
from oml.functional.metrics.verification_pairs import Pairs, calc_distances, find_equal
from tests.reference import verification as reference

RATES = (0.0, 0.05, 0.3, 0.5, 1.0)
distances = st.lists(st.integers(0, 12), min_size=1, max_size=12).map(
    lambda values: np.sort(np.array(values, dtype=np.float32))
)


def to_bins(pos, neg, width=4.0):
    n_bins = int(max(pos.max(), neg.max()) // width) + 1
    counts = [np.bincount((values // width).astype(int), minlength=n_bins) for values in (pos, neg)]
    return BinnedDistances(*counts, bin_width=width)


@given(distances, distances)
def test_exact_rates_by_definition(pos, neg):
    kept = SortedDistances(pos, neg)
    curve = kept.make_curve()
    assert [rate.value for rate in calc_tar_at_far(curve, RATES)] == pytest.approx(
        [reference.tar_at_far(pos, neg, far) for far in RATES]
    )
    assert calc_eer(curve).value == pytest.approx(reference.equal_error_rate(pos, neg))
    for costs in ((0.01, 1, 1), (0.5, 10, 1), (0.9, 1, 2)):
        assert calc_min_dcf(curve, *costs).value == pytest.approx(reference.min_dcf(pos, neg, *costs))
    found = [rate.value for rate in kept.calc_fnmr(RATES)]
    assert found == pytest.approx(calc_fnmr_at_fmr(pos, neg, RATES).tolist())
    twice = [rate.value for rate in kept.calc_fnmr(RATES, n_each=2)]
    assert twice == pytest.approx(calc_fnmr_at_fmr(pos.repeat(2), neg.repeat(2), RATES).tolist())


@given(distances, distances)
def test_thresholds_reach_the_rates(pos, neg):
    for kept in (SortedDistances(pos, neg), to_bins(pos, neg)):
        curve = kept.make_curve()
        for far, rate in zip(RATES, calc_tar_at_far(curve, RATES), strict=True):
            assert np.mean(pos <= rate.threshold) == pytest.approx(rate.value)
            assert np.mean(neg <= rate.threshold) <= far + 1e-9
        costs = calc_min_dcf(curve, 0.5)
        cost = np.mean(pos > costs.threshold) + np.mean(neg <= costs.threshold)
        assert cost == pytest.approx(costs.value)


@given(distances, distances)
def test_bounds_of_bins_hold_the_exact_rates(pos, neg):
    exact, binned = SortedDistances(pos, neg), to_bins(pos, neg)
    curves = exact.make_curve(), binned.make_curve()
    assert not curves[1].is_exact
    pairs = [
        *zip(*(calc_tar_at_far(curve, RATES) for curve in curves), strict=True),
        tuple(calc_eer(curve) for curve in curves),
        tuple(calc_min_dcf(curve) for curve in curves),
        *zip(exact.calc_fnmr(RATES), binned.calc_fnmr(RATES), strict=True),
        *zip(exact.calc_fnmr(RATES, 2), binned.calc_fnmr(RATES, 2), strict=True),
    ]
    for expected, found in pairs:
        assert found.low - 1e-12 <= expected.value <= found.high + 1e-12
        assert found.low - 1e-12 <= found.value <= found.high + 1e-12
        assert expected.low == expected.value == expected.high


@given(distances, distances)
def test_narrow_bins_are_exact(pos, neg):
    curve, exact = to_bins(pos, neg, width=1.0).make_curve(), SortedDistances(pos, neg).make_curve()
    for far in RATES:
        assert calc_tar_at_far(curve, [far])[0].value == calc_tar_at_far(exact, [far])[0].value
    assert calc_eer(curve).value == pytest.approx(calc_eer(exact).value)


@pytest.mark.parametrize(("n_pos", "n_neg"), [(30, 200), (200, 30), (1, 1)])
def test_curves_equal_scikit_learn(n_pos, n_neg):
    rng = np.random.default_rng(0)
    pos = np.sort(rng.integers(0, 40, n_pos)).astype(np.float32)
    neg = np.sort(rng.integers(15, 70, n_neg)).astype(np.float32)
    is_match, scores = np.repeat([1, 0], [n_pos, n_neg]), -np.concatenate([pos, neg])
    curve = SortedDistances(pos, neg).make_curve()
    far, tar, _ = roc_curve(is_match, scores, drop_intermediate=False)
    ours = set(zip(curve.far, curve.tar, strict=True))
    assert ours <= set(zip(far, tar, strict=True))
    assert auc(curve.far, curve.tar) == pytest.approx(auc(far, tar))  # so no corner is missing
    det_far, det_frr, _ = det_curve(is_match, scores)
    by_far = dict(zip(far.tolist(), tar.tolist(), strict=True))  # the last one: the greatest TAR
    assert all(1 - frr <= by_far[f] + 1e-12 for f, frr in zip(det_far.tolist(), det_frr.tolist(), strict=True))
    for rate in (0.0, 0.1, 0.6):
        assert calc_tar_at_far(curve, [rate])[0].value == pytest.approx(tar[far <= rate].max())


def test_one_pair_in_a_million():
    neg = np.arange(1_000_000, dtype=np.float32)
    pos = np.array([0.5, 1.5, 2.5], dtype=np.float32)
    curve = SortedDistances(pos, neg).make_curve()
    # one wrong pair may be accepted: that at 0, not that at 1
    assert calc_tar_at_far(curve, [1e-6, 2e-6])[0].value == pytest.approx(1 / 3)
    assert calc_tar_at_far(curve, [1e-6, 2e-6])[1].value == pytest.approx(2 / 3)
    assert calc_tar_at_far(curve, [0.99e-6])[0].value == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_distances_near_zero_keep_their_digits(dtype, generator):
    x = torch.randn(20, 16, generator=generator, dtype=dtype)
    y = torch.cat(
        [x, x + 1e-4 * torch.randn(20, 16, generator=generator, dtype=dtype), torch.zeros(1, 16, dtype=dtype)]
    )
    expected = torch.cdist(x.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist")
    found = calc_distances(x, y)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5 if dtype == torch.float32 else 1e-12, atol=0)
    assert found.diagonal().tolist() == [0] * 20


@pytest.mark.parametrize(("n_queries", "n_galleries"), [(0, 3), (3, 0), (1, 1), (4, 7)])
def test_find_equal(n_queries, n_galleries, generator):
    q = torch.randint(0, 3, (n_queries,), generator=generator)
    g = torch.randint(0, 3, (n_galleries,), generator=generator)
    expected = (q[:, None] == g).view(-1).nonzero()[:, 0]
    assert find_equal(q, g).sort().values.tolist() == expected.tolist()


@pytest.mark.parametrize("n_rows", [1, 3, 100])
@pytest.mark.parametrize("is_symmetric", [True, False])
def test_each_pair_comes_once(n_rows, is_symmetric, generator):
    x = torch.randn(7, 2, generator=generator)
    y = x if is_symmetric else torch.randn(9, 2, generator=generator)
    labels = torch.arange(len(x)) % 3, torch.arange(len(y)) % 3
    pairs = Pairs(x, y, labels, is_symmetric=is_symmetric)
    pos, neg = [], []
    for block, matching in pairs.split(n_rows, 2 * n_rows, torch.float64):
        flat = block.view(-1)
        pos += flat[matching].tolist()
        flat[matching] = torch.inf
        neg += flat.tolist()
    expected = reference.list_distances(x.numpy(), y.numpy(), *labels, is_symmetric=is_symmetric)
    for found, wanted in zip((pos, neg), expected, strict=True):
        assert sorted(d for d in found if d < torch.inf) == pytest.approx(sorted(wanted.tolist()))
    assert pairs.count_at_most() == len(expected[0]) + len(expected[1])
    assert pairs.calc_largest_distance() >= max(wanted.max() for wanted in expected)

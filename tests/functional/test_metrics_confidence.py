import numpy as np
import pytest
from scipy import stats

from oml.functional.metrics import confidence
from oml.functional.metrics.confidence import calc_bootstrap_interval, calc_sign_flip_p_value


def make_rng(seed=0):
    return np.random.default_rng(seed)


def test_interval_equals_scipy():
    values = make_rng(1).exponential(size=(80, 2))
    found = calc_bootstrap_interval(values, np.ones(80), 100_000, make_rng())
    for i in range(2):
        expected = stats.bootstrap(
            (values[:, i],), np.mean, n_resamples=100_000, method="percentile", rng=make_rng(2), vectorized=True
        ).confidence_interval
        # both are random: the standard error of an end is about 0.0015
        np.testing.assert_allclose(found[:, i], expected, atol=0.01)


def test_interval_over_units_equals_a_loop():
    rng = make_rng(3)
    groups = [rng.random(rng.integers(1, 9)) for _ in range(30)]
    sums, sizes = np.array([[g.sum()] for g in groups]), np.array([len(g) for g in groups])
    found = calc_bootstrap_interval(sums, sizes, 5000, make_rng(4))[:, 0]
    means = [np.concatenate([groups[i] for i in rng.integers(0, 30, 30)]).mean() for _ in range(5000)]
    np.testing.assert_allclose(found, np.quantile(means, (0.025, 0.975)), atol=0.01)


@pytest.mark.parametrize("n", [0, 1])
def test_no_interval_of_less_than_two_units(n):
    assert np.isnan(calc_bootstrap_interval(np.ones((n, 3)), np.ones(n), 10, make_rng())).all()


def test_interval_of_equal_values():
    np.testing.assert_allclose(calc_bootstrap_interval(np.full((9, 1), 0.3), np.ones(9), 50, make_rng()), 0.3)


def test_intervals_are_repeatable_whatever_the_blocks(monkeypatch):
    values = make_rng(5).random((50, 2))
    found = calc_bootstrap_interval(values, np.ones(50), 40, make_rng())
    monkeypatch.setattr(confidence, "_BLOCK", 60)
    np.testing.assert_allclose(calc_bootstrap_interval(values, np.ones(50), 40, make_rng()), found, rtol=1e-12)
    assert not np.allclose(calc_bootstrap_interval(values, np.ones(50), 40, make_rng(1)), found)


def test_coverage():
    """Values of a label resemble one another: only draws of labels cover the true mean as often as promised."""
    rng, n_runs = make_rng(6), 300
    n_covered = {"queries": 0, "labels": 0}
    for _ in range(n_runs):
        of_labels = rng.normal(size=(60, 1)) + 0.5 * rng.normal(size=(60, 5))  # the true mean is 0
        ends = {
            "queries": calc_bootstrap_interval(of_labels.reshape(-1, 1), np.ones(300), 300, rng),
            "labels": calc_bootstrap_interval(of_labels.sum(1, keepdims=True), np.full(60, 5), 300, rng),
        }
        for name, (low, high) in ends.items():
            n_covered[name] += int(low[0] <= 0 <= high[0])
    # the standard error of a share near 0.95 is 0.013
    assert 0.91 <= n_covered["labels"] / n_runs <= 0.98
    assert n_covered["queries"] / n_runs < 0.8


@pytest.mark.parametrize("n", [2, 7, 12])
def test_p_value_equals_scipy_where_all_signs_are_tried(n):
    differences = make_rng(n).normal(0.4, size=n)
    expected = stats.permutation_test(
        (differences, np.zeros(n)), lambda x, y, axis: np.mean(x - y, axis), permutation_type="samples", vectorized=True
    ).pvalue
    assert calc_sign_flip_p_value(differences, 2**n, make_rng()) == pytest.approx(expected)


def test_p_value_of_random_signs_is_near_the_exact_one():
    differences = make_rng(8).normal(0.4, size=14)
    exact = calc_sign_flip_p_value(differences, 2**14, make_rng())
    assert 0.02 < exact < 0.5
    # the standard error is below 0.004
    assert calc_sign_flip_p_value(differences, 2**14 - 1, make_rng()) == pytest.approx(exact, abs=0.015)


def test_p_values_of_nothing_and_of_certainty():
    assert calc_sign_flip_p_value(np.zeros(5), 99, make_rng()) == 1
    assert calc_sign_flip_p_value(np.zeros(0), 99, make_rng()) == 1
    assert calc_sign_flip_p_value(np.full(200, 0.1), 99, make_rng()) == 0.01  # the lowest possible: (0 + 1) / (99 + 1)


def test_p_values_are_uniform_where_nothing_differs():
    rng = make_rng(9)
    p_values = [calc_sign_flip_p_value(rng.normal(size=40), 199, rng) for _ in range(500)]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    assert np.mean(np.array(p_values) <= 0.05) <= 0.08


def test_p_value_whatever_the_blocks(monkeypatch):
    differences = make_rng(10).normal(0.3, size=8)
    found = calc_sign_flip_p_value(differences, 256, make_rng())
    monkeypatch.setattr(confidence, "_BLOCK", 100)
    assert calc_sign_flip_p_value(differences, 256, make_rng()) == found

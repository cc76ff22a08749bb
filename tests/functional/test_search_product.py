import pytest
import torch

from oml.functional import search_product
from oml.functional.search_product import PRODUCTS, Product, get_products, multiply, sums_in_float32


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
@pytest.mark.parametrize(("n_queries", "n_galleries", "dim"), [(1, 1, 1), (17, 40, 9), (64, 128, 65)])
def test_products_are_the_same(product, n_queries, n_galleries, dim, generator):
    q, g = (torch.randn(n, dim, generator=generator).to(product.dtype) for n in (n_queries, n_galleries))
    found = product.multiply(q, g, torch.empty(n_queries, n_galleries, dtype=product.dtype))
    expected = q.double() @ g.double().T
    rounded = product.roundoff * expected.abs()
    assert ((found.double() - expected).abs() <= 1e-4 + rounded).all()


def test_sums_that_stand_still_are_noticed():
    def multiply_narrowly(queries, galleries, out):
        total = torch.zeros_like(out)
        for column in range(queries.shape[1]):
            total += queries[:, column, None] * galleries[:, column]
        return total

    assert sums_in_float32(PRODUCTS["matrix"])
    assert not sums_in_float32(Product("narrow", torch.bfloat16, multiply_narrowly))


@pytest.mark.parametrize(
    ("times", "is_summed_well", "expected"),
    [
        ({"matrix": 3, "layer": 2, "convolution": 4, "bfloat16": 1}, True, ["bfloat16", "layer"]),
        ({"matrix": 3, "layer": 2, "convolution": 4, "bfloat16": 1}, False, ["layer"]),
        ({"matrix": 3, "layer": 2, "convolution": 1, "bfloat16": 0.9}, True, ["convolution"]),
        ({"matrix": 2.0, "layer": 1.95, "convolution": 4, "bfloat16": 9}, True, ["matrix"]),
    ],
)
def test_the_fastest_comes_first(times, is_summed_well, expected, monkeypatch):
    monkeypatch.setattr(search_product, "time_products", lambda: dict(times))
    monkeypatch.setattr(search_product, "sums_in_float32", lambda _: is_summed_well)
    search_product._choose_products.cache_clear()
    try:
        products = get_products(torch.device("cpu"), torch.float32, is_large=True)
        assert [product.name for product in products] == expected
        assert [p.name for p in get_products(torch.device("cpu"), torch.float32, is_large=False)] == ["matrix"]
    finally:
        search_product._choose_products.cache_clear()


def test_float64_is_multiplied_in_float64():
    (product,) = get_products(torch.device("cpu"), torch.float64, is_large=True)
    assert product == Product("matrix", torch.float64, multiply)


def test_timing_leaves_the_number_of_threads():
    n_threads = torch.get_num_threads()
    assert all(0 < seconds < 10 for seconds in search_product.time_products().values())
    assert torch.get_num_threads() == n_threads

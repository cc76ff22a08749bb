import numpy as np
import pytest
import torch

from oml.errors import InvalidInputError
from oml.functional import search_task as task_module
from oml.functional.search import search
from oml.functional.search_plan import Plan
from tests.functional.vectors import make_vectors


def find_by_value(calc_value, queries, galleries, k):
    """The nearest by the definition: all values in float64, rounded to float32, sorted by (value, id)."""
    queries, galleries = queries.double().numpy(), galleries.double().numpy()
    values = np.array([[np.float32(calc_value(q, g)) for g in galleries] for q in queries])
    ids = [sorted(range(len(galleries)), key=lambda j, row=row: (row[j], j))[:k] for row in values]
    return np.take_along_axis(values, np.array(ids), axis=1), ids


def calc_cosine_distance(q, g):
    return np.square(q / np.linalg.norm(q) - g / np.linalg.norm(g)).sum() / 2


@pytest.mark.parametrize("kind", ["random", "integers", "duplicates", "collapsed", "far_from_origin", "outlier"])
@pytest.mark.parametrize(("metric", "calc_value"), [("cosine", calc_cosine_distance), ("ip", lambda q, g: -(q @ g))])
@pytest.mark.parametrize("blocks", [None, (3, 5, 7)])
@pytest.mark.parametrize("dim", [4, 90])
def test_other_metrics(metric, calc_value, kind, blocks, dim, generator, monkeypatch):
    queries, galleries = (make_vectors(kind, n, dim, generator) + 0.01 for n in (9, 230))
    if blocks is not None:
        monkeypatch.setattr(task_module, "make_plan", lambda *_: Plan(*blocks))
    answers = search(queries, galleries, k=7, metric=metric)
    values, ids = find_by_value(calc_value, queries, galleries, 7)
    np.testing.assert_allclose(answers.distances, values, rtol=1e-6, atol=1e-15)
    if kind in ("integers", "duplicates", "collapsed"):  # equal ones by the lower id, whatever the rounding above
        is_same = answers.distances[:, 1:] == answers.distances[:, :-1]
        assert (answers.ids[:, 1:] > answers.ids[:, :-1])[is_same].all()
    else:
        assert answers.ids.tolist() == ids


def test_cosine_of_identical_vectors_is_exactly_zero(generator):
    x = torch.randn(300, 100, generator=generator)
    answers = search(x * 3, x.repeat(2, 1) * 3, k=2, metric="cosine")
    assert (answers.distances == 0).all()
    assert answers.ids.tolist() == [[i, i + 300] for i in range(300)]


def test_metrics_agree_on_unit_vectors(generator):
    x = torch.nn.functional.normalize(torch.randn(200, 16, generator=generator))
    by_distance, by_cosine, by_product = (search(x[:50], x, k=9, metric=name) for name in ("l2", "cosine", "ip"))
    torch.testing.assert_close(by_cosine.distances, by_distance.distances.square() / 2, atol=1e-6, rtol=0)
    torch.testing.assert_close(by_product.distances, by_cosine.distances - 1, atol=1e-6, rtol=0)
    assert torch.equal(by_cosine.ids[:, :3], by_distance.ids[:, :3])


def test_errors_of_metrics():
    x = torch.ones(4, 2)
    with pytest.raises(InvalidInputError, match=r"Unknown metric 'cos'\. Did you mean 'cosine'"):
        search(x, x, k=1, metric="cos")
    x[[1, 2]] = 0
    with pytest.raises(
        InvalidInputError, match=r"`galleries` must hold no zero vectors .* 2 row\(s\) are: rows 1, 2\."
    ):
        search(x[:1], x, k=1, metric="cosine")
    with pytest.raises(InvalidInputError, match=r"Inner products of vectors as long as 1.*e\+25 are beyond"):
        search(1e25 * x[:1], x, k=1, metric="ip")
    assert search(1e25 * x[:1].double(), x, k=1, metric="ip").distances.item() == pytest.approx(-2e25)

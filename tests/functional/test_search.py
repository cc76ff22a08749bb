import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oml.errors import InvalidInputError
from oml.functional import search as search_module
from oml.functional import search_task as task_module
from oml.functional.search import search
from oml.functional.search_metric import get_metric
from oml.functional.search_plan import Plan, make_plan
from oml.functional.search_product import PRODUCTS
from oml.functional.search_rows import Rows
from oml.functional.search_scores import make_scorer
from tests.functional.vectors import KINDS, make_vectors
from tests.reference.knn import find_nearest


def assert_equals_reference(answers, queries, galleries, k, exclude=(), dtype=np.float32):
    distances, ids = find_nearest(queries, galleries, k, exclude, dtype)
    assert answers.lengths.tolist() == [len(row) for row in ids]
    for i, n in enumerate(answers.lengths.tolist()):
        assert answers.ids[i, :n].tolist() == ids[i]
        # float32 is exact: the reference rounds the same sum; in float64 the order of summation shows
        np.testing.assert_allclose(answers.distances[i, :n], distances[i], rtol=0 if dtype == np.float32 else 1e-14)
        assert (answers.ids[i, n:] == -1).all()
        assert answers.distances[i, n:].isinf().all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 7, 500])
@pytest.mark.parametrize("blocks", [None, (3, 5, 7), (1, 1, 1), (64, 32, 64)])
def test_equals_reference_whatever_the_blocks(kind, k, blocks, generator, monkeypatch):
    queries, galleries = make_vectors(kind, 9, 4, generator), make_vectors(kind, 130, 4, generator)
    exclude = [(torch.randint(0, 5, (9,), generator=generator), torch.randint(0, 5, (130,), generator=generator))]
    if blocks is not None:
        monkeypatch.setattr(task_module, "make_plan", lambda *_: Plan(*blocks))
    assert_equals_reference(search(queries, galleries, k, exclude=exclude), queries, galleries, k, exclude)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    sizes=st.tuples(st.integers(0, 12), st.integers(0, 90), st.integers(1, 6)),
    k=st.integers(1, 40),
    n_keys=st.integers(1, 30),
    blocks=st.tuples(st.integers(1, 13), st.integers(1, 91), st.integers(1, 100)),
    seed=st.integers(0, 10**6),
)
def test_invariant_of_blocks(kind, sizes, k, n_keys, blocks, seed):
    (n_queries, n_galleries, dim), generator = sizes, torch.Generator().manual_seed(seed)
    queries, galleries = (
        make_vectors(kind, n_queries + 1, dim, generator)[1:],
        make_vectors(kind, n_galleries + 1, dim, generator)[1:],
    )
    keys = [torch.randint(0, n_keys, (n,), generator=generator) for n in (n_queries, n_galleries) * 2]
    exclude = [(keys[0], keys[1]), (keys[2], keys[3])]
    whole = search(queries, galleries, k, exclude=exclude)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task_module, "make_plan", lambda *_: Plan(*blocks))
        in_blocks = search(queries, galleries, k, exclude=exclude)
    assert all(torch.equal(a, b) for a, b in zip(whole, in_blocks, strict=True))
    assert_equals_reference(whole, queries, galleries, k, exclude)


def test_undecided_queries_are_searched_again(generator, monkeypatch):
    """More equal distances than are kept: the first search must notice it, and the second one settle it."""
    galleries = make_vectors("collapsed", 200, 4, generator)
    n_searched_again = []
    original = task_module.search_exactly

    def spy(queries, *args):
        n_searched_again.append(len(queries))
        return original(queries, *args)

    monkeypatch.setattr(task_module, "search_exactly", spy)
    answers = search(galleries[:3], galleries, k=4)
    assert sum(n_searched_again) == 3
    assert answers.ids.tolist() == [[0, 1, 2, 3]] * 3
    assert (answers.distances == 0).all()

    n_searched_again.clear()
    search(galleries[:3], make_vectors("random", 200, 4, generator), k=4)
    assert sum(n_searched_again) == 0


def test_identical_vectors_are_at_distance_zero(generator):
    x = torch.nn.functional.normalize(torch.randn(50, 200, generator=generator)) * 100 + 7
    answers = search(x, torch.cat([x, x]), k=2)
    assert (answers.distances == 0).all()
    assert answers.ids.tolist() == [[i, i + 50] for i in range(50)]


@pytest.mark.parametrize(("n_queries", "n_galleries"), [(0, 0), (0, 3), (3, 0), (1, 1)])
def test_sizes_of_zero_and_one(n_queries, n_galleries):
    answers = search(torch.zeros(n_queries, 2), torch.ones(n_galleries, 2), k=5)
    width = min(5, n_galleries)
    assert answers.distances.shape == answers.ids.shape == (n_queries, width)
    assert answers.lengths.tolist() == [width] * n_queries


def test_everything_is_excluded():
    keys = torch.zeros(3, dtype=torch.int64)
    answers = search(torch.zeros(3, 2), torch.zeros(3, 2), k=2, exclude=[(keys, keys)])
    assert answers.lengths.tolist() == [0, 0, 0]
    assert (answers.ids == -1).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_storage_of_other_dtypes(dtype, generator):
    x = torch.randn(40, 8, generator=generator).to(dtype)
    answers = search(x, x, k=3)
    wide, wide_numpy = (torch.float64, np.float64) if dtype == torch.float64 else (torch.float32, np.float32)
    assert answers.distances.dtype == wide
    assert_equals_reference(answers, x.to(wide), x.to(wide), 3, dtype=wide_numpy)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_input_is_not_written_to(dtype, generator):
    x = torch.randn(40, 8, generator=generator).to(dtype)
    before = x.clone()
    search(x, x, k=3)
    search(x.numpy(), x.numpy(), k=3)
    assert torch.equal(x, before)


def test_arrays_and_memory_mapped_files(tmp_path, generator):
    x = torch.randn(60, 8, generator=generator)
    expected = search(x, x, k=4)
    array = np.memmap(tmp_path / "x", dtype=np.float32, mode="w+", shape=(60, 8))
    array[:] = x.numpy()
    array.flush()
    for matrix in (x.numpy(), np.memmap(tmp_path / "x", dtype=np.float32, mode="r", shape=(60, 8)), x.T.contiguous().T):
        assert all(torch.equal(a, b) for a, b in zip(expected, search(x, matrix, k=4), strict=True))
        assert all(torch.equal(a, b) for a, b in zip(expected, search(matrix, matrix, k=4), strict=True))


def test_chosen_rows(generator):
    x = torch.randn(30, 4, generator=generator)
    query_rows, gallery_rows = torch.tensor([7, 2, 29]), torch.arange(5, 25)
    for rows in (gallery_rows, gallery_rows.flip(0)):
        answers = search(x, x, k=6, query_rows=query_rows, gallery_rows=rows)
        assert_equals_reference(answers, x[query_rows], x[rows], 6)


def test_gradients_and_autocast_are_left_alone(generator):
    x = (torch.randn(100, 8, generator=generator) + 30).requires_grad_()  # beyond the precision of bfloat16
    expected = search(x.detach(), x.detach(), k=3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        answers = search(x, x, k=3)
    assert not answers.distances.requires_grad
    assert torch.equal(answers.ids, expected.ids)


def test_progress_counts_queries():
    seen = []
    search(torch.zeros(10, 2), torch.zeros(3, 2), k=1, max_query_block=4, on_progress=seen.append)
    assert seen == [4, 4, 2]


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 1e9])
def test_what_a_score_rules_out_is_farther(name, metric, scale, generator):
    """Scores that differ by more than the band are in the order of the distances; roundings of the scores included."""
    q, g = (torch.randn(n, 300, generator=generator) * scale + shift for n, shift in ((20, 0), (40, scale)))
    centre = torch.zeros(300) if metric == "ip" else g.mean(0)
    sizes = [Rows(x, "x").to(torch.device("cpu")).measure(centre) for x in (q, g)]
    scorer = make_scorer(PRODUCTS[name], get_metric(metric), torch.float32, centre, *sizes)
    scores = scorer.score(
        scorer.extend_queries(q),
        scorer.extend_galleries(g, scorer.make_room(40)),
        torch.empty(20 * 40, dtype=scorer.product.dtype),
    ).double()
    dots = q.double() @ g.double().T
    exact = dots if metric == "ip" else -torch.cdist(q.double(), g.double()).square() / 2
    off = (scores[:, :, None] - scores[:, None]) - (exact[:, :, None] - exact[:, None])
    rounded = scorer.product.roundoff * (scores[:, :, None].abs() + scores[:, None].abs())
    assert (off.abs() <= scorer.band.double()[:, None, None] + rounded).all()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "collapsed"])
@pytest.mark.parametrize("k", [1, 7, 60])
@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
def test_coarse_products_do_not_change_the_answers(kind, k, metric, generator, monkeypatch):
    queries, galleries = make_vectors(kind, 150, 70, generator), make_vectors(kind, 500, 70, generator)
    if (metric, kind) == ("ip", "huge"):
        queries, galleries = queries * 1e-15, galleries * 1e-15
    if metric == "cosine":
        queries, galleries = queries + 0.01, galleries + 0.01
    keys = [torch.randint(0, 40, (n,), generator=generator) for n in (150, 500)]
    monkeypatch.setattr(search_module, "get_products", lambda *_: [PRODUCTS["matrix"]])
    expected = search(queries, galleries, k, metric=metric, exclude=[keys])
    monkeypatch.setattr(search_module, "get_products", lambda *_: [PRODUCTS["bfloat16"], PRODUCTS["matrix"]])
    monkeypatch.setattr(task_module, "make_plan", lambda *_: Plan(64, 128, 5000, depth=2))
    answers = search(queries, galleries, k, metric=metric, exclude=[keys])
    assert all(torch.equal(a, b) for a, b in zip(expected, answers, strict=True))


def test_coarse_products_are_tried_first_and_left_where_they_leave_all_in_doubt(generator, monkeypatch):
    searched = []
    original = task_module.SearchTask._search

    def spy(self, scorer, positions, *args):
        left = original(self, scorer, positions, *args)
        searched.append((scorer.product.name, len(positions), len(left)))
        return left

    monkeypatch.setattr(task_module.SearchTask, "_search", spy)
    monkeypatch.setattr(search_module, "get_products", lambda *_: [PRODUCTS["bfloat16"], PRODUCTS["matrix"]])
    x = torch.randn(900, 70, generator=generator)
    search(x[:100], x, k=3)
    assert searched == [("bfloat16", 100, 0)]

    searched.clear()  # distances that bfloat16 cannot tell apart, but float32 can
    x = torch.nn.functional.normalize(x[:1] + 0.05 * x)
    x[::2] *= -1
    search(x[:100], x, k=3)
    assert searched == [("bfloat16", 100, 100), ("matrix", 100, 0)]

    searched.clear()  # too few features, squares too small
    search(x[:100, :20], x[:, :20], k=3)
    search(x[:100] * 1e-12, x * 1e-12, k=3)
    assert [name for name, *_ in searched] == ["matrix", "matrix"]


def test_plan_stays_within_memory():
    for memory in (2 * 10**6, 10**8):
        plan = make_plan(10**4, 10**5, 384, width=120, itemsize=4, max_memory=memory, device=torch.device("cpu"))
        n_pairs = plan.queries * plan.galleries
        assert n_pairs * 26 + (plan.queries + plan.galleries) * 384 * 8 + 8 * 11 * 10**4 <= memory
    with pytest.raises(InvalidInputError, match="`max_memory` is too small: the search needs at least"):
        search(torch.zeros(2, 3), torch.zeros(2, 3), k=1, max_memory=1000)


def test_memory_does_not_change_the_answers(generator):
    x = torch.randn(300, 16, generator=generator)
    expected = search(x, x, k=5)
    answers = search(x, x, k=5, max_memory=200_000)
    assert all(torch.equal(a, b) for a, b in zip(expected, answers, strict=True))


def test_errors():
    x = torch.zeros(4, 2)
    with pytest.raises(InvalidInputError, match="`k` must be at least 1, got 0"):
        search(x, x, k=0)
    with pytest.raises(InvalidInputError, match="differ in the number of features: 2 and 3"):
        search(x, torch.zeros(4, 3), k=1)
    with pytest.raises(InvalidInputError, match=r"`queries` must have the shape \(n, D\), got \(4,\)"):
        search(torch.zeros(4), x, k=1)
    with pytest.raises(InvalidInputError, match=r"`galleries` must hold floating point numbers, got torch.int64"):
        search(x, torch.zeros(4, 2, dtype=torch.int64), k=1)
    with pytest.raises(InvalidInputError, match="needs 4 keys of queries and 4 of galleries, got 4 and 3"):
        search(x, x, k=1, exclude=[(torch.arange(4), torch.arange(3))])


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_numbers_that_are_not_finite(value):
    bad, good = torch.zeros(5, 2), torch.zeros(5, 2)
    bad[[1, 3], 0] = value
    with pytest.raises(InvalidInputError, match=r"`galleries` must be finite, but 2 row\(s\) .* rows 1, 3\."):
        search(good, bad, k=1)
    with pytest.raises(InvalidInputError, match=r"`queries` must be finite, but 1 row\(s\) .* rows 3\."):
        search(bad, good, k=1, query_rows=torch.tensor([0, 3]))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_cpu(generator):
    for kind in KINDS:
        x = make_vectors(kind, 500, 8, generator)
        keys = torch.arange(500) // 3
        expected = search(x, x, k=9, exclude=[(keys, keys)])
        answers = search(x.cuda(), x.cuda(), k=9, exclude=[(keys, keys)])
        assert answers.ids.is_cuda
        assert all(torch.equal(a, b.cpu()) for a, b in zip(expected, answers, strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_all_pairs_compared_give_the_same_answers(kind, metric, generator, monkeypatch):
    queries, galleries = make_vectors(kind, 20, 6, generator), make_vectors(kind, 90, 6, generator)
    if (metric, kind) == ("ip", "huge"):
        queries, galleries = queries * 1e-15, galleries * 1e-15
    exclude = [(torch.randint(0, 5, (20,), generator=generator), torch.randint(0, 5, (90,), generator=generator))]
    expected = search(queries, galleries, 60, metric=metric, exclude=exclude)
    monkeypatch.setattr(task_module, "_LEAST_DENSE", 0)
    monkeypatch.setattr(task_module.SearchTask, "_search", None)
    monkeypatch.setattr(task_module, "make_plan", lambda *_: Plan(7, 11, 50))
    answers = search(queries, galleries, 60, metric=metric, exclude=exclude)
    assert all(torch.equal(a, b) for a, b in zip(expected, answers, strict=True))

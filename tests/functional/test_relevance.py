import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oml.functional.ragged import concat_rows
from oml.functional.relevance import count_relevant, is_listed, is_relevant, list_relevant
from tests.reference.knn import find_relevant


@settings(max_examples=80, deadline=None)
@given(
    sizes=st.tuples(st.integers(0, 8), st.integers(0, 20), st.integers(0, 6)),
    n_values=st.integers(1, 6),
    n_keys=st.integers(0, 3),
    seed=st.integers(0, 10**6),
)
def test_equal_reference(sizes, n_values, n_keys, seed):
    generator = torch.Generator().manual_seed(seed)
    n_queries, n_galleries, width = sizes

    def draw(n):
        return torch.randint(0, n_values, (n,), generator=generator)

    labels = draw(n_queries), draw(n_galleries)
    exclude = [(draw(n_queries), draw(n_galleries)) for _ in range(n_keys)]
    ids = torch.randint(-1, max(n_galleries, 1), (n_queries, width), generator=generator).clamp(max=n_galleries - 1)
    expected = find_relevant(*labels, exclude)

    relevant = list_relevant(*labels, exclude)
    assert [row.tolist() for row in relevant.values.split(relevant.lengths.tolist())] == expected
    assert count_relevant(*labels, exclude).tolist() == [len(row) for row in expected]
    hits = [[i in row for i in of_query] for of_query, row in zip(ids.tolist(), expected, strict=True)]
    assert is_relevant(ids, *labels, exclude).tolist() == hits
    assert is_listed(ids, relevant).tolist() == hits


def test_lists_need_no_order():
    relevant = concat_rows([torch.tensor([9, 0, 4]), torch.tensor([]), torch.tensor([0])], "x", torch.int64)
    hits = is_listed(torch.tensor([[4, 1], [0, -1], [-1, 0]]), relevant)
    assert hits.tolist() == [[True, False], [False, False], [False, True]]


def test_rows_must_be_flat():
    with pytest.raises(ValueError, match="`x` must hold 1-D tensors, but those at positions 1 have another shape"):
        concat_rows([torch.zeros(2), torch.zeros(2, 1)], "x")


def test_counting_with_keys_far_apart():
    """Numbers made of two such keys do not fit into 64 bits, so they are numbered anew."""
    far = 2**61
    labels = torch.tensor([0, far, far, far]), torch.tensor([far, far, 0])
    keys = torch.tensor([-far, 5, far, 7]), torch.tensor([far, 5, 5])
    assert count_relevant(*labels).tolist() == [1, 2, 2, 2]
    assert count_relevant(*labels, exclude=[keys]).tolist() == [1, 1, 1, 2]

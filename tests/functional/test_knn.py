from functools import partial

import numpy as np
import pytest
import torch

from oml.errors import InvalidInputError
from oml.functional.knn import (
    batched_knn,
    batched_knn_qg,
    check_both_are_nones_or_not_nones,
    check_len_and_ndim,
    search_between,
    search_within,
)
from oml.functional.search import search
from tests.reference.knn import find_nearest, find_relevant


def to_lists(rows):
    return [row.tolist() for row in rows]


@pytest.mark.parametrize("n", [1, 2, 17])
@pytest.mark.parametrize("top_n", [1, 5, 100])
@pytest.mark.parametrize("with_sequences", [False, True])
def test_within_one_set(n, top_n, with_sequences, generator):
    embeddings = torch.randn(n, 3, generator=generator).round()
    labels = torch.randint(0, 4, (n,), generator=generator)
    sequences = torch.randint(0, 6, (n,), generator=generator) if with_sequences else None
    ids_query, ids_gallery = torch.arange(0, n, 2), torch.randperm(n, generator=generator)
    exclude = [(ids_query, ids_gallery)]
    if with_sequences:
        exclude.append((sequences[ids_query], sequences[ids_gallery]))

    distances, ids, gts = batched_knn(embeddings, ids_query, ids_gallery, top_n, sequences, labels, bs=2)

    expected = find_nearest(embeddings[ids_query], embeddings[ids_gallery], top_n, exclude)
    assert to_lists(distances) == [[float(d) for d in row] for row in expected[0]]
    assert to_lists(ids) == expected[1]
    assert to_lists(gts) == find_relevant(labels[ids_query], labels[ids_gallery], exclude)


@pytest.mark.parametrize("with_sequences", [False, True])
@pytest.mark.parametrize("with_ids", [False, True])
def test_between_two_sets(with_sequences, with_ids, generator):
    queries, galleries = torch.randn(6, 3, generator=generator), torch.randn(9, 3, generator=generator)
    labels = np.array([0, 0, 1, 2, 2, 5]), np.array([0, 1, 1, 2, 2, 2, 3, 0, 0])
    ids = (torch.arange(6), torch.arange(4, 13)) if with_ids else (None, None)
    sequences = (torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([0] * 5 + [1] * 4)) if with_sequences else (None, None)
    exclude = [pair for pair in (ids, sequences) if pair[0] is not None]

    distances, found, gts = batched_knn_qg(queries, galleries, 4, *labels, *ids, *sequences)

    expected = find_nearest(queries, galleries, 4, exclude)
    assert to_lists(distances) == [[float(d) for d in row] for row in expected[0]]
    assert to_lists(found) == expected[1]
    assert to_lists(gts) == find_relevant(*labels, exclude)


def test_without_labels_there_is_no_ground_truth():
    assert batched_knn(torch.zeros(2, 1), torch.arange(2), torch.arange(2), top_n=1)[2] is None
    assert batched_knn_qg(torch.zeros(2, 1), torch.zeros(3, 1), top_n=1)[2] is None


def test_queries_end_with_different_numbers_of_answers():
    sequences = torch.tensor([0, 0, 1])
    _, ids, gts = batched_knn(torch.zeros(3, 1), torch.arange(3), torch.arange(3), 3, sequences, torch.zeros(3))
    assert to_lists(ids) == [[2], [2], [0, 1]]
    assert to_lists(gts) == [[2], [2], [0, 1]]


def test_empty_gallery():
    distances, ids, gts = batched_knn_qg(torch.zeros(2, 1), torch.zeros(0, 1), 3, torch.arange(2), torch.arange(0))
    assert to_lists(distances) == to_lists(ids) == to_lists(gts) == [[], []]


def test_another_search_may_answer(generator):
    x = torch.randn(20, 4, generator=generator)
    ids = torch.arange(20)
    expected = search(x, x, 3, metric="cosine", exclude=[(ids, ids)])
    within, *_ = search_within(x, ids, ids, 3, find=partial(search, metric="cosine"))
    between, *_ = search_between(x, x, 3, ids=(ids, ids), find=partial(search, metric="cosine"))
    for answers in (within, between):
        assert all(torch.equal(a, b) for a, b in zip(expected, answers, strict=True))


def test_verbose_shows_progress(capsys):
    batched_knn(torch.zeros(2, 1), torch.arange(2), torch.arange(2), top_n=1, verbose=True)
    assert "Searching" in capsys.readouterr().err


def test_errors():
    x, ids = torch.zeros(4, 2), torch.arange(4)
    with pytest.raises(AssertionError, match="`sequence_ids` to have the length 4"):
        batched_knn(x, ids, ids, 1, sequence_ids=torch.arange(3))
    with pytest.raises(AssertionError, match="`labels_gt` to have the length 4"):
        batched_knn(x, ids, ids, 1, labels_gt=torch.arange(5))
    with pytest.raises(AssertionError, match=r"`ids_query` to have the length 4 and 1 .* got the shape \(4, 1\)"):
        batched_knn(x, ids[:, None], ids, 1)
    with pytest.raises(AssertionError, match="`ids_gallery` must be rows of the 4 embeddings, got ids from 0 to 4"):
        batched_knn(x, ids, torch.arange(5), 1)
    with pytest.raises(AssertionError, match="a query or a gallery, got 4 embeddings, 1 queries and 2 galleries"):
        batched_knn(x, ids[:1], ids[:2], 1)
    with pytest.raises(AssertionError, match="both or none must be given: `labels_query` and `labels_gallery`"):
        batched_knn_qg(x, x, 1, labels_query=ids)
    with pytest.raises(AssertionError, match="`sequence_ids_gallery` to have the length 4"):
        batched_knn_qg(x, x, 1, sequence_ids_query=ids, sequence_ids_gallery=torch.arange(3))
    with pytest.raises(AssertionError, match="`top_n` must be at least 1, got 0"):
        batched_knn(x, ids, ids, 0)


def test_no_answers_asked_for():
    with pytest.raises(AssertionError, match="`top_n` must be at least 1, got -1"):
        batched_knn_qg(torch.zeros(4, 2), torch.zeros(4, 2), -1)


def test_documented_checks():
    check_both_are_nones_or_not_nones(None, None)
    check_both_are_nones_or_not_nones(1, [])
    check_len_and_ndim(torch.zeros(3), 3, 1)
    with pytest.raises(InvalidInputError, match="both or none"):
        check_both_are_nones_or_not_nones(None, 1)
    with pytest.raises(InvalidInputError, match="length 2"):
        check_len_and_ndim(torch.zeros(3), 2, 1)

import copy
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oml.errors import InvalidInputError
from oml.retrieval import LabelGroundTruth, RetrievalResults
from oml.retrieval.retrieval_results import get_sequence_from_dataset
from tests.reference.knn import find_nearest, find_relevant
from tests.retrieval.datasets import Items, Labelled, LabelledSplit, Split


def to_lists(rows):
    return [row.tolist() for row in rows]


def make_results(with_gts=True):
    distances = [torch.tensor([0.5, 0.5, 2.0]), torch.tensor([]), torch.tensor([1.0])]
    ids = [torch.tensor([5, 2, 9]), torch.tensor([]), torch.tensor([2])]
    gts = [torch.tensor([9, 1]), torch.tensor([3]), torch.tensor([2])] if with_gts else None
    return RetrievalResults(distances, ids, gts)


def test_rows_of_different_lengths():
    rr = make_results()
    assert to_lists(rr.distances) == [[0.5, 0.5, 2.0], [], [1.0]]
    assert to_lists(rr.retrieved_ids) == [[5, 2, 9], [], [2]]
    assert to_lists(rr.gt_ids) == [[9, 1], [3], [2]]
    assert all(ids.dtype == torch.int64 for ids in [*rr.retrieved_ids, *rr.gt_ids])
    assert to_lists(rr.distances[1:]) == [[], [1.0]]
    assert rr.distances[-1].tolist() == [1.0]
    assert to_lists(rr.gt_ids[::-1]) == [[2], [3], [9, 1]]
    assert rr.n_retrieved_items == 3
    assert rr.lengths.tolist() == [3, 0, 1]
    assert not rr.is_empty()
    for rows in (rr.distances, rr.gt_ids):
        with pytest.raises(IndexError):
            rows[3]


def test_writes_reach_the_results():
    rr = make_results()
    hits = rr.calc_hits().is_hit.clone()
    rr.retrieved_ids[0][:] = torch.tensor([9, 1, 4])
    rr.distances[2][0] = 7.0
    rr.gt_ids[2][:] = 0
    assert rr.retrieved_ids[0].tolist() == [9, 1, 4]
    assert rr.distances[2].tolist() == [7.0]
    assert rr.gt_ids[2].tolist() == [0]
    assert hits.tolist() == [[False, False, True], [False] * 3, [True, False, False]]
    assert rr.calc_hits().is_hit.tolist() == [[True, True, False], [False] * 3, [False] * 3]


@pytest.mark.parametrize("copied", [lambda rr: rr.deepcopy(), copy.deepcopy])
def test_copy_shares_nothing(copied):
    rr = make_results()
    other = copied(rr)
    other.distances[0][:] = 9
    other.retrieved_ids[0][:] = torch.tensor([1, 2, 3])
    other.gt_ids[0][:] = 0
    assert to_lists(rr.distances) == [[0.5, 0.5, 2.0], [], [1.0]]
    assert to_lists(rr.retrieved_ids) == [[5, 2, 9], [], [2]]
    assert to_lists(rr.gt_ids) == [[9, 1], [3], [2]]


def test_the_tensors_given_are_copied():
    ids = [torch.tensor([1, 2])]
    rr = RetrievalResults([torch.tensor([0.0, 1.0])], ids)
    rr.retrieved_ids[0][:] = 7
    assert ids[0].tolist() == [1, 2]


def test_text():
    text = str(make_results())
    for part in ("3 queries", "[0.5000, 0.5000, 2.0000]", "[5, 2, 9]", "[9, 1]"):
        assert part in text
    assert "Ground truths are unknown." in str(make_results(with_gts=False))
    many = RetrievalResults([torch.tensor([0.25])] * 500, [torch.tensor([1])] * 500)
    assert str(many).count("0.25") == 100


def test_no_queries_and_no_answers():
    rr = RetrievalResults([], [], [])
    assert rr.is_empty()
    with pytest.raises(ValueError, match="There are no queries"):
        _ = rr.n_retrieved_items
    assert "0 queries" in str(rr)
    empty = RetrievalResults([torch.tensor([])] * 2, [torch.tensor([])] * 2)
    assert empty.is_empty()
    assert empty.n_retrieved_items == 0


def test_warning_about_queries_without_ground_truth():
    ids = [torch.tensor([1])] * 3
    with pytest.warns(UserWarning, match=r"Some of the queries don't have available gts\. These are 2 of 3: 0, 2\."):
        RetrievalResults([torch.tensor([1.0])] * 3, ids, [torch.tensor([]), torch.tensor([1]), torch.tensor([])])


@pytest.mark.parametrize(
    ("distances", "ids", "message"),
    [
        ([[2.0, 1.0]], [[0, 1]], r"ascending order .* Broken for the queries 0\."),
        ([[1.0], [1.0, torch.nan]], [[0], [0, 1]], r"ascending order .* Broken for the queries 1\."),
        ([[torch.nan]], [[0]], "ascending order and hold no NaN"),
        ([[1.0], [1.0, 2.0, 3.0]], [[0], [4, 5, 4]], r"unique for each query. Broken for the queries 1\."),
        ([[1.0]], [[-1]], "must not be negative"),
        ([[1.0], [1.0]], [[0], [0, 1]], "must have the same length: query 1 has 1 and 2"),
        ([[[1.0]]], [[[0]]], r"`distances` must hold 1-D tensors, those of the queries 0 are not"),
    ],
)
def test_broken_rules(distances, ids, message):
    distances, ids = [torch.tensor(row) for row in distances], [torch.tensor(row) for row in ids]
    for kind in (RuntimeError, ValueError, AssertionError):
        with pytest.raises(kind, match=message):
            RetrievalResults(distances, ids)


def test_other_broken_rules():
    rows, ids = [torch.tensor([1.0])], [torch.tensor([1])]
    with pytest.raises(AssertionError, match="`gt_ids` must have one tensor per query, got 2 for 1"):
        RetrievalResults(rows, ids, ids * 2)
    with pytest.raises(AssertionError, match="must have one tensor per query, got 1 and 2"):
        RetrievalResults(rows, ids * 2)
    with pytest.raises(AssertionError, match="`distances` must be a sequence of 1-D tensors"):
        RetrievalResults(torch.zeros(2, 3), ids)


def test_unsorted_within_tolerance_and_ids_beyond_the_first_hundred():
    eps = torch.finfo(torch.float32).eps
    RetrievalResults([torch.tensor([1.0, 1.0 - 5 * eps])], [torch.tensor([0, 1])])
    with pytest.raises(RuntimeError, match="ascending"):
        RetrievalResults([torch.tensor([1.0, 1.0 - 20 * eps])], [torch.tensor([0, 1])])
    ids = torch.arange(102)
    ids[101] = 0
    RetrievalResults([torch.arange(102.0)], [ids])
    ids[99] = 0
    with pytest.raises(RuntimeError, match="unique"):
        RetrievalResults([torch.arange(102.0)], [ids])


def test_arrays():
    distances, ids = torch.tensor([[1.0, 2.0], [3.0, 0.0]]), torch.tensor([[4, 5], [6, 6]])
    gts = LabelGroundTruth(torch.tensor([0, 1]), torch.tensor([0, 0, 0, 0, 0, 1, 1]))
    rr = RetrievalResults.from_arrays(distances, ids, torch.tensor([2, 1]), gts)
    assert to_lists(rr.retrieved_ids) == [[4, 5], [6]]
    assert distances.tolist() == [[1.0, 2.0], [3.0, torch.inf]]
    assert to_lists(rr.gt_ids) == [[0, 1, 2, 3, 4], [5, 6]]
    with pytest.raises(RuntimeError, match=r"the same shape \(Q, K\), got \(2, 2\) and \(2, 1\)"):
        RetrievalResults.from_arrays(distances, ids[:, :1])
    with pytest.raises(InvalidInputError, match="`lengths` must be 2 numbers from 0 to 2"):
        RetrievalResults.from_arrays(distances, ids, torch.tensor([3, 1]))


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 15),
    n_labels=st.integers(1, 6),
    n_sequences=st.one_of(st.none(), st.integers(1, 8)),
    n_items=st.integers(1, 20),
    seed=st.integers(0, 10**6),
)
def test_from_embeddings(n, n_labels, n_sequences, n_items, seed):
    random = np.random.default_rng(seed)
    embeddings = torch.from_numpy(random.integers(0, 4, (n, 2)).astype(np.float32))
    query_ids = random.permutation(n)[: max(1, n // 2)].tolist()
    gallery_ids = random.permutation(n).tolist()
    labels = random.integers(0, n_labels, n)
    sequences = None if n_sequences is None else [f"camera {i}" for i in random.integers(0, n_sequences, n)]
    dataset = LabelledSplit(labels, query_ids, gallery_ids, sequences)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # queries without ground truth are wanted here
        rr = RetrievalResults.from_embeddings(embeddings, dataset, n_items)

    exclude = [(query_ids, gallery_ids)]
    if sequences is not None:
        numbers = np.array([int(name.split()[1]) for name in sequences])
        exclude.append((numbers[query_ids], numbers[gallery_ids]))
    expected_distances, expected_ids = find_nearest(embeddings[query_ids], embeddings[gallery_ids], n_items, exclude)
    expected_gts = find_relevant(labels[query_ids], labels[gallery_ids], exclude)
    hits = rr.calc_hits()
    assert to_lists(rr.retrieved_ids) == expected_ids
    assert to_lists(rr.distances) == [[float(d) for d in row] for row in expected_distances]
    assert hits.n_gts.tolist() == [len(row) for row in expected_gts]
    assert [rr.get_gt_ids(i).tolist() for i in range(len(query_ids))] == expected_gts
    assert to_lists(rr.gt_ids) == expected_gts
    for i, row in enumerate(expected_ids):
        assert hits.is_hit[i, : len(row)].tolist() == [j in expected_gts[i] for j in row]
    # and the same out of the lists
    assert torch.equal(rr.calc_hits().is_hit, hits.is_hit)
    assert torch.equal(rr.calc_hits().n_gts, hits.n_gts)


def test_from_embeddings_without_labels():
    rr = RetrievalResults.from_embeddings(torch.tensor([[0.0], [1.0], [5.0]]), Split(3, [0], [1, 2]), n_items=1)
    assert rr.gt_ids is None
    assert rr.get_gt_ids(0) is None
    assert to_lists(rr.retrieved_ids) == [[0]]
    with pytest.raises(TypeError, match="Metrics need ground truth, but these results have none"):
        rr.calc_hits()


def test_from_two_sets_sequences_are_numbered_together():
    queries, galleries = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [1.0], [2.0]])
    rr = RetrievalResults.from_embeddings_qg(
        queries, galleries, Labelled([0, 1], ["b", "a"]), Labelled([0, 1, 1], ["a", "b", "a"]), n_items=5
    )
    # numbered apart, "b" of the queries and "a" of the galleries would both be 0
    assert to_lists(rr.retrieved_ids) == [[0, 2], [1]]
    assert to_lists(rr.gt_ids) == [[0], [1]]


def test_from_two_sets_with_one_of_a_pair_missing():
    queries, galleries = torch.tensor([[0.0]]), torch.tensor([[0.0], [1.0]])
    rr = RetrievalResults.from_embeddings_qg(queries, galleries, Items(1, ["a"]), Labelled([0, 1]))
    assert rr.gt_ids is None
    assert to_lists(rr.retrieved_ids) == [[0, 1]]


def test_single_query_and_single_gallery():
    rr = RetrievalResults.from_embeddings(torch.tensor([[0.0], [2.0]]), LabelledSplit([3, 3], [0], [1]))
    assert to_lists(rr.distances) == [[2.0]]
    assert to_lists(rr.gt_ids) == [[0]]


def test_empty_gallery():
    with pytest.warns(UserWarning, match="don't have available gts"):
        rr = RetrievalResults.from_embeddings_qg(torch.zeros(2, 1), torch.zeros(0, 1), Labelled([0, 1]), Labelled([]))
    assert rr.is_empty()
    assert rr.calc_hits().n_gts.tolist() == [0, 0]


def test_from_embeddings_errors():
    embeddings = torch.zeros(3, 2)
    with pytest.raises(AssertionError, match="`embeddings` must have one row per item of `dataset`, got 3 for 4"):
        RetrievalResults.from_embeddings(embeddings, Split(4, [0], [1, 2, 3]))
    with pytest.raises(AssertionError, match="`embeddings_gallery` must have one row per item of `dataset_gallery`"):
        RetrievalResults.from_embeddings_qg(embeddings, embeddings, Items(3), Items(2))
    with pytest.raises(TypeError, match=r"must tell queries from galleries .* got Items"):
        RetrievalResults.from_embeddings(embeddings, Items(3))
    with pytest.raises(AssertionError, match="`n_items` must be at least 1, got 0"):
        RetrievalResults.from_embeddings(embeddings, Split(3, [0], [1, 2]), n_items=0)
    embeddings[1] = torch.nan
    with pytest.raises(ValueError, match=r"must be finite, but 1 row\(s\) hold NaN or infinite numbers: rows 1\."):
        RetrievalResults.from_embeddings(embeddings, Split(3, [0], [1, 2]))


def test_sequences_of_anything():
    assert get_sequence_from_dataset(Items(3)) is None
    for names in (["a", None, "a"], np.array([7, 1, 7]), torch.tensor([7, 1, 7]), [(1, 2), "x", (1, 2)]):
        assert get_sequence_from_dataset(Items(3, names)).tolist() == [0, 1, 0]

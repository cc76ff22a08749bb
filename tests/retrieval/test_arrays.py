import numpy as np
import pytest
import torch

from oml.errors import InvalidInputError
from oml.retrieval import LabelGroundTruth, RetrievalResults
from tests.retrieval.datasets import Labelled, LabelledSplit


def to_lists(rows):
    return [row.tolist() for row in rows]


def make_results(with_gts=True):
    distances = [torch.tensor([0.5, 0.5, 2.0]), torch.tensor([]), torch.tensor([1.0])]
    ids = [torch.tensor([5, 2, 9]), torch.tensor([]), torch.tensor([2])]
    gts = [torch.tensor([9, 1]), torch.tensor([3]), torch.tensor([2])] if with_gts else None
    return RetrievalResults(distances, ids, gts)


def make_labelled():
    """Items 0..5 search for each other; "a" of the sequences is taken twice."""
    embeddings = torch.tensor([[0.0], [1.0], [2.0], [4.0], [5.0], [7.0]])
    dataset = LabelledSplit([0, 0, 1, 0, 1, 1], list(range(6)), list(range(6)), ["a", "a", "b", "c", "d", "e"])
    return RetrievalResults.from_embeddings(embeddings, dataset, n_items=3)


@pytest.mark.parametrize(
    ("queries", "expected"),
    [
        (2, [2]),
        (-1, [2]),
        (slice(1, None), [1, 2]),
        (slice(None, None, 2), [0, 2]),
        ([2, 0, 2], [2, 0, 2]),
        ([-3], [0]),
        ([], []),
        (np.array([1, 0]), [1, 0]),
        (torch.tensor([2]), [2]),
        (torch.tensor([True, False, True]), [0, 2]),
        (np.array([False, False, False]), []),
    ],
)
def test_choosing_queries(queries, expected):
    rr = make_results()
    found = rr[queries]
    assert isinstance(found, RetrievalResults)
    for chosen, of_all in ((found.retrieved_ids, rr.retrieved_ids), (found.distances, rr.distances)):
        assert to_lists(chosen) == [of_all[i].tolist() for i in expected]
    assert to_lists(found.gt_ids) == [rr.gt_ids[i].tolist() for i in expected]
    assert make_results(with_gts=False)[queries].gt_ids is None


def test_choosing_queries_keeps_labels():
    rr = make_labelled()
    chosen = [4, 1, 1]
    found = rr[chosen]
    assert isinstance(found.ground_truth, LabelGroundTruth)
    hits, all_hits = found.calc_hits(), rr.calc_hits()
    assert torch.equal(hits.is_hit, all_hits.is_hit[chosen])
    assert hits.n_gts.tolist() == all_hits.n_gts[chosen].tolist() == [2, 1, 1]
    assert to_lists(found.gt_ids) == [[2, 5], [3], [3]]


def test_a_slice_is_a_view_and_a_list_is_a_copy():
    rr = make_results()
    rr[:1].retrieved_ids[0][0] = 7
    rr[[2]].retrieved_ids[0][0] = 7
    assert to_lists(rr.retrieved_ids) == [[7, 2, 9], [], [2]]


def test_results_as_a_sequence():
    rr = make_results()
    assert len(rr) == 3
    assert [one.lengths.tolist() for one in rr] == [[3], [0], [1]]
    assert bool(RetrievalResults([], []))


def test_queries_that_are_not_there():
    rr = make_results()
    with pytest.raises(IndexError, match="There are 3 queries, so there is none at the positions 3, -4"):
        rr[[0, 3, -4]]
    with pytest.raises(IndexError, match="A mask of queries must have the length 3, got 2"):
        rr[np.array([True, False])]
    with pytest.raises(IndexError, match=r"Queries must be integers, a slice or a mask, got torch\.float32"):
        rr[[0.5]]


def test_equality():
    rr = make_results()
    assert rr == make_results()
    assert rr != make_results(with_gts=False)
    assert make_results(with_gts=False) == make_results(with_gts=False)
    assert rr != rr[[0, 2, 1]]
    assert rr[:0] == RetrievalResults([], [], [])
    assert rr != 3
    for change in (lambda r: r.distances[0], lambda r: r.retrieved_ids[2], lambda r: r.gt_ids[1]):
        other = make_results()
        change(other)[0] += 1
        assert rr != other
    with pytest.raises(TypeError, match="unhashable"):
        hash(rr)


def test_equality_looks_at_what_is_relevant_not_at_its_form():
    rr, listed = make_labelled(), make_labelled()
    assert listed.gt_ids is not None
    assert rr == listed
    assert rr == make_labelled()
    renamed = rr.deepcopy()
    gts = rr.ground_truth
    renamed._gts = LabelGroundTruth(7 - gts.labels_query, 7 - gts.labels_gallery, gts.exclude)
    assert rr == renamed
    renamed._gts = LabelGroundTruth(gts.labels_query, gts.labels_gallery)
    assert rr != renamed
    swapped = make_results()
    swapped.gt_ids[0][:] = torch.tensor([1, 9])
    assert swapped == make_results()


def test_equality_does_not_see_how_wide_the_padding_is():
    distances, ids = torch.tensor([[1.0, 5.0], [2.0, 5.0]]), torch.tensor([[3, 8], [4, 8]])
    wide = RetrievalResults.from_arrays(distances, ids, torch.tensor([1, 1]))
    assert wide == RetrievalResults([torch.tensor([1.0]), torch.tensor([2.0])], [torch.tensor([3]), torch.tensor([4])])


@pytest.mark.parametrize("make", [make_results, make_labelled, lambda: make_results(with_gts=False)])
def test_parts_make_the_whole(make):
    rr = make()
    parts = [rr[:1], rr[1:1], rr[1:]]
    assert RetrievalResults.concat(parts) == rr
    assert RetrievalResults.concat([rr]) == rr
    mixed = RetrievalResults.concat([rr[[2]].keep_first(torch.tensor([1])), rr])
    assert mixed[1:] == rr
    assert mixed.lengths.tolist() == [1, *rr.lengths.tolist()]


def test_streamed_batches_number_their_sequences_apart():
    queries, galleries = torch.arange(4.0)[:, None], torch.tensor([[0.5], [1.5], [2.5]])
    labels, sequences = [0, 1, 1, 0], ["x", "b", "a", "y"]
    of_galleries = Labelled([0, 1, 1], ["a", "b", "a"])

    def search(part):
        dataset = Labelled(labels[part], sequences[part])
        return RetrievalResults.from_embeddings_qg(queries[part], galleries, dataset, of_galleries)

    whole = search(slice(0, 4))
    streamed = RetrievalResults.concat([search(slice(0, 1)), search(slice(1, 3)), search(slice(3, 4))])
    assert isinstance(streamed.ground_truth, LabelGroundTruth)
    assert streamed == whole
    assert streamed.calc_hits().n_gts.tolist() == whole.calc_hits().n_gts.tolist() == [1, 1, 1, 1]


def test_parts_that_do_not_belong_together():
    rr = make_results()
    with pytest.raises(InvalidInputError, match="`parts` must hold at least one result"):
        RetrievalResults.concat([])
    with pytest.raises(InvalidInputError, match="Only 1 of 2 parts have ground truth: give all or none"):
        RetrievalResults.concat([rr, make_results(with_gts=False)])
    galleries = [LabelGroundTruth(torch.tensor([0]), torch.tensor(g)) for g in ([0, 1], [0, 0], [0, 1, 1])]
    one, other, larger = (
        RetrievalResults.from_arrays(torch.zeros(1, 1), torch.zeros(1, 1, dtype=torch.int64), None, gts)
        for gts in galleries
    )
    for wrong in (other, larger):
        with pytest.raises(InvalidInputError, match="The parts were searched in different galleries"):
            RetrievalResults.concat([one, wrong])


def test_first_answers():
    rr = make_results()
    found = rr.keep_first(torch.tensor([2, 5, -1]))
    assert to_lists(found.retrieved_ids) == [[5, 2], [], []]
    assert to_lists(found.distances) == [[0.5, 0.5], [], []]
    assert found.retrieved_ids.values.shape == (3, 2)
    assert to_lists(rr.retrieved_ids) == [[5, 2, 9], [], [2]]


def test_marked_answers():
    rr = make_results()
    found = rr.keep_where(torch.tensor([[True, False, True], [True] * 3, [False] * 3]))
    assert to_lists(found.retrieved_ids) == [[5, 9], [], []]
    assert to_lists(found.distances) == [[0.5, 2.0], [], []]
    assert to_lists(found.gt_ids) == to_lists(rr.gt_ids)


def test_other_answers():
    rr = make_results()
    found = rr.replace_answers(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[9], [8], [2]]))
    assert to_lists(found.retrieved_ids) == [[9], [8], [2]]
    assert found.calc_hits().is_hit.tolist() == [[True], [False], [True]]
    with pytest.raises(InvalidInputError, match="`distances` must have one row per query, got 1 for 3"):
        rr.replace_answers(torch.zeros(1, 1), torch.zeros(1, 1, dtype=torch.int64))
    with pytest.raises(RuntimeError, match="ascending order"):
        rr.replace_answers(torch.tensor([[2.0, 1.0]] * 3), torch.tensor([[0, 1]] * 3))

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oml.errors import InvalidInputError
from oml.functional.relations import Relevance, find_pairs, find_same
from tests.reference.relations import find_same_by_loop

X = torch.zeros(3, 2)


def features_of(labels) -> torch.Tensor:
    return torch.zeros(len(labels), 2)


def to_multi_hot(sets: list[set[int]], dtype: torch.dtype) -> torch.Tensor:
    table = torch.zeros(len(sets), 4, dtype=dtype)
    for row, labels in enumerate(sets):
        table[row, list(labels)] = 1
    return table


@given(st.lists(st.integers(0, 3), max_size=6), st.lists(st.integers(0, 3), max_size=6))
def test_integers(labels: list[int], ref_labels: list[int]) -> None:
    for convert in (list, torch.tensor, lambda x: torch.tensor(x, dtype=torch.int32)[:, None]):
        if convert is not list and not (labels and ref_labels):
            continue
        same = find_same(convert(labels), features_of(labels), convert(ref_labels), features_of(ref_labels))
        assert same.dtype == torch.bool
        assert same.shape == (len(labels), len(ref_labels))
        assert same.tolist() == find_same_by_loop(labels, ref_labels)


SETS = st.lists(st.sets(st.integers(0, 3)), min_size=1, max_size=6)


@given(SETS, SETS)
def test_several_labels(labels: list[set[int]], ref_labels: list[set[int]]) -> None:
    expected = find_same_by_loop(labels, ref_labels)
    both = features_of(labels), features_of(ref_labels)
    assert find_same(labels, both[0], ref_labels, both[1]).tolist() == expected
    words = [[{f"word {i}" for i in item} for item in items] for items in (labels, ref_labels)]
    assert find_same(words[0], both[0], words[1], both[1]).tolist() == expected
    for dtype in (torch.bool, torch.float32, torch.int64, torch.float16):
        hot = to_multi_hot(labels, dtype), to_multi_hot(ref_labels, dtype)
        assert find_same(hot[0], both[0], hot[1], both[1]).tolist() == expected
        assert find_same(hot[0], both[0]).tolist() == find_same_by_loop(labels, labels)


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32, torch.int64])
def test_given_relevance(dtype: torch.dtype) -> None:
    matrix = torch.tensor([[1, 1, 0], [0, 1, 0], [1, 0, 1]], dtype=dtype)
    assert find_same(Relevance(matrix), X).tolist() == matrix.bool().tolist()
    positives, negatives = find_pairs(Relevance(matrix), X)
    assert positives.int().tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]
    assert negatives.int().tolist() == [[0, 0, 1], [1, 0, 1], [0, 1, 0]]
    assert torch.equal(matrix.diagonal(), torch.ones(3, dtype=dtype)), "the user's matrix was written into"
    positives, negatives = find_pairs(Relevance(torch.zeros(2, 2)), X[:2])
    assert (positives.any().item(), negatives.tolist()) == (False, [[False, True], [True, False]])
    positives, negatives = find_pairs(Relevance(matrix[:2]), X[:2], ref_features=X)
    assert positives.int().tolist() == [[1, 1, 0], [0, 1, 0]]
    assert torch.equal(negatives, ~positives)


@pytest.mark.parametrize("labels", [[], [5], [1, 1], [1, 2, 1]], ids=str)
def test_pairs_leave_out_oneself_only_in_the_batch(labels: list[int]) -> None:
    features = features_of(labels)
    positives, negatives = find_pairs(labels, features)
    assert not (positives & negatives).any()
    assert torch.equal(positives | negatives, ~torch.eye(len(labels), dtype=torch.bool))
    positives, negatives = find_pairs(labels, features, labels, features)
    assert torch.equal(positives, ~negatives)
    assert positives.diagonal().all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], X), "one label per row of the features, got 2 labels and 3 features"),
        ((torch.zeros(3), X), r"labels \(B,\) must be integers, got torch.float32. Convert them with .long\(\)"),
        ((torch.zeros(3, 2, 2), X), r"labels must be \(B,\), or multi-hot \(B, L\), got the shape \(3, 2, 2\)"),
        ((torch.tensor(1), X), r"labels must be \(B,\), or multi-hot \(B, L\), got the shape \(\)"),
        ((["cat", "dog", "cat"], X), "labels must be integers of 64 bits at most, got 'cat' in the list"),
        (([1, {2}, 3], X), r"labels must be integers of 64 bits at most, got \{2\} in the list"),
        (([{1}, 2, {3}], X), "must be a set for each item, or an integer for each, got 2 beside sets"),
        (([1, 2, 3], X, [1, 2], None), "must be given together, or neither; only ref_labels was given"),
        (([1, 2, 3], X, None, X), "must be given together, or neither; only ref_features was given"),
        (([1, 2, 3], X, [1], X), "got 1 ref_labels and 3 features"),
        (([1, 2, 3], X, [{1}, {2}, {3}], X), "ref_labels must be of the kind of the other labels, got sets"),
        (([{1}, {2}, {3}], X, [1, 2, 3], X), "labels must be of the kind of the other labels, got sets"),
        ((torch.ones(3, 2), X, torch.ones(3, 4), X), r"of one width, got \(3, 2\) and \(3, 4\)"),
        ((torch.ones(3, 2), X, [1, 2, 3], X), r"must be of one kind.* got \(3, 2\) and \(3,\)"),
        ((Relevance(torch.ones(3, 2)), X), r"row for each anchor .* \(3, 3\), got the shape \(3, 2\)"),
        ((Relevance(torch.ones(3, 3)), X, [1, 2, 3], X), "ref_labels must be None where labels are a Relevance"),
        (([1, 2, 3], X[0]), r"features must be a matrix \(B, D\), got the shape \(2,\)"),
        (([1, 2, 3], X, [1], torch.zeros(1, 5)), r"with the width of the features, 2, got the shape \(1, 5\)"),
        (([1, 2, 3], X, [1], torch.zeros(1, 2, device="meta")), "on cpu, got meta. Move them"),
    ],
)
def test_errors(arguments, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        find_same(*arguments)


def test_labels_of_another_type() -> None:
    with pytest.raises(TypeError, match=r"Relevance.*, got dict. Convert arrays with torch.as_tensor"):
        find_same({}, X)

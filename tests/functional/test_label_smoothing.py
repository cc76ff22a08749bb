import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oml.errors import InvalidInputError
from oml.functional.label_smoothing import label_smoothing
from tests.reference.classifiers import smooth_by_loop


@pytest.mark.parametrize("categories", [None, [0, 1, 1, 0, 7], [3, 3, 3, 3, 3], [4, 3, 2, 1, 0]], ids=str)
@pytest.mark.parametrize("epsilon", [0.0, 0.2, 0.99])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_equals_loop(categories, epsilon: float, dtype: torch.dtype) -> None:
    labels = [4, 0, 1, 2, 3, 0]
    expected = torch.tensor([smooth_by_loop(label, 5, epsilon, categories) for label in labels])
    found = label_smoothing(
        torch.tensor(labels, dtype=dtype), 5, epsilon, None if categories is None else torch.tensor(categories)
    )
    torch.testing.assert_close(found, expected)


def test_documented_example_and_default() -> None:
    torch.testing.assert_close(
        label_smoothing(torch.tensor([1]), 3, 0.2, torch.tensor([0, 1, 1])), torch.tensor([[0.0, 0.9, 0.1]])
    )
    torch.testing.assert_close(label_smoothing(torch.tensor([0]), 2), torch.tensor([[0.9, 0.1]]))


@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=8).flatmap(
        lambda c: st.tuples(st.just(c), st.lists(st.integers(0, len(c) - 1), max_size=6))
    ),
    st.floats(0, 0.99),
)
def test_rows_sum_to_1_and_stay_in_the_category(case, epsilon: float) -> None:
    categories, labels = torch.tensor(case[0]), torch.tensor(case[1], dtype=torch.int64)
    targets = label_smoothing(labels, len(categories), epsilon, categories)
    assert targets.shape == (len(labels), len(categories))
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(len(labels)))
    assert (targets[categories != categories[labels, None]] == 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.tensor([0]), 2, 1.0), r"epsilon must be in \[0, 1\), got 1.0"),
        ((torch.tensor([0]), 2, -0.1), r"epsilon must be in \[0, 1\), got -0.1"),
        ((torch.tensor([0, 2, 5, -1]), 2, 0.1), r"between 0 and num_classes - 1.*out of range: -1, 2, 5"),
        ((torch.tensor([0.0]), 2, 0.1), r"Labels must be integers.*torch.float32"),
        ((torch.tensor([[0]]), 2, 0.1), r"Labels must have the shape \(B,\), got \(1, 1\)"),
        ((torch.tensor([0]), 2, 0.1, torch.tensor([0])), r"categories must give.*each of the 2 labels.*got \(1,\)"),
    ],
)
def test_errors(arguments, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        label_smoothing(*arguments)

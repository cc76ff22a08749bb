import pytest
import torch

from oml.errors import InvalidInputError
from oml.losses import SurrogatePrecision
from tests.reference.surrogate_precision import calc_surrogate_precision_by_loop

LABELS = [0, 0, 0, 1, 1, 2, 2, 3]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("labels", [LABELS, [1], [1, 1], [1, 2]], ids=str)
def test_loss_is_that_of_the_definition(generator, reduction: str, labels: list[int]) -> None:
    features = torch.randn(len(labels), 4, dtype=torch.float64, generator=generator, requires_grad=True)
    loss = SurrogatePrecision(2, 0.9, 0.3, reduction)(features, torch.tensor(labels))
    loss.sum().backward()
    grad, features.grad = features.grad, None

    ids = torch.tensor(labels)
    distances = (features[:, None] - features).square().sum(dim=2)
    distances = torch.where(distances > 0, distances, 1).sqrt() * (distances > 0)
    losses = 1 - calc_surrogate_precision_by_loop(distances, ids[:, None] == ids, 2 + 1, 0.9, 0.3)
    expected = {"mean": losses.mean(), "sum": losses.sum(), "none": losses}[reduction]
    expected.sum().backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(grad, features.grad)


def test_references_are_not_oneself(generator) -> None:
    features = torch.randn(3, 4, dtype=torch.float64, generator=generator)
    refs = torch.randn(8, 4, dtype=torch.float64, generator=generator)
    same = torch.tensor([0, 1, 5])[:, None] == torch.tensor(LABELS)
    loss = SurrogatePrecision(2, 0.9, 0.3, "none")(features, [0, 1, 5], refs, LABELS)
    expected = 1 - calc_surrogate_precision_by_loop(torch.cdist(features, refs), same, 2, 0.9, 0.3)
    expected[2] = 0  # there is nobody to be found
    torch.testing.assert_close(loss, expected)


def test_defaults_and_errors() -> None:
    assert repr(SurrogatePrecision()) == (
        "SurrogatePrecision(reduction='mean', k=5, temperature1=1.0, temperature2=0.01)"
    )
    with pytest.raises(AssertionError, match="k must be above 0, got 0"):
        SurrogatePrecision(k=0)
    with pytest.raises(InvalidInputError, match="temperature1 must be above 0, got 0"):
        SurrogatePrecision(k=1, temperature1=0)

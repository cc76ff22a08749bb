"""What every criterion says about features and labels that cannot be right."""

import math

import pytest
import torch

from oml.errors import InvalidInputError
from oml.functional.relations import Relevance
from oml.interfaces.features import check_finite
from oml.losses import MatryoshkaLoss, PairLoss, TripletLoss
from oml.miners import AllTripletsMiner, HardTripletsMiner, PairsMiner
from tests.losses.criteria import CRITERIA

LABELS = torch.arange(12) // 2
WITH_LABELS = [name for name, (_, takes_labels) in CRITERIA.items() if takes_labels]


def make_features(generator):
    return torch.randn(12, 8, generator=generator)


@pytest.mark.parametrize("name", CRITERIA)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_rows_that_are_not_finite_are_named(generator, name: str, value: float) -> None:
    make, takes_labels = CRITERIA[name]
    good, bad = make_features(generator), make_features(generator)
    bad[[3, 7], 1] = value
    message = r"features\w* must be finite numbers, but these rows have NaN or infinity: 3, 7\. Look at these inputs"
    for arguments in [(bad, LABELS)] if takes_labels else [(bad, good), (good, bad)]:
        with pytest.raises(InvalidInputError, match=message):
            make()(*arguments)


@pytest.mark.parametrize("name", WITH_LABELS)
def test_labels_of_a_wrong_length_or_type(generator, name: str) -> None:
    criterion, features = CRITERIA[name][0](), make_features(generator)
    with pytest.raises(InvalidInputError, match=r"one label per row of the features.*\b11 labels"):
        criterion(features, LABELS[:11])
    with pytest.raises(InvalidInputError, match=r"labels.* must be integers, got torch.float32\. Convert.*\.long\(\)"):
        criterion(features, LABELS.float())
    with pytest.raises(TypeError, match=r"labels must be a tensor.*got str"):
        criterion(features, "a" * 12)


@pytest.mark.parametrize("name", WITH_LABELS)
def test_lists_of_what_is_no_integer(generator, name: str) -> None:
    criterion, features = CRITERIA[name][0](), make_features(generator)
    for odd in ("cat", None, 10**30):
        with pytest.raises(
            InvalidInputError, match=f"labels must be integers of 64 bits at most, got '?{odd}'? in the"
        ):
            criterion(features, [0] * 6 + [odd] * 6)


TAKE_ONE_LABEL = [name for name in WITH_LABELS if not isinstance(CRITERIA[name][0](), PairLoss | MatryoshkaLoss)]


@pytest.mark.parametrize("name", TAKE_ONE_LABEL)
def test_who_takes_one_label_per_item_says_so(generator, name: str) -> None:
    criterion, features = CRITERIA[name][0](), make_features(generator)
    message = r"Several labels per item, or a given Relevance, are taken by losses of pairs only, such as Multi"
    for several in ([{0, 1}] * 12, [[0, 1], [2]] * 6, torch.ones(12, 3, dtype=torch.bool)):
        with pytest.raises(InvalidInputError, match=message):
            criterion(features, several)
    with pytest.raises(TypeError, match=f"got Relevance.*{message}"):
        criterion(features, Relevance(torch.ones(12, 12)))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.uint16, torch.uint64])
@pytest.mark.parametrize("name", WITH_LABELS)
def test_labels_of_every_integer_type(generator, name: str, dtype: torch.dtype) -> None:
    make, features = CRITERIA[name][0], make_features(generator)
    expected, found = make(), make()
    for _ in range(2):  # the second time banks have labels, too
        assert torch.equal(found(features, LABELS.to(dtype)), expected(features, LABELS))


@pytest.mark.parametrize("name", WITH_LABELS)
def test_half_precision_without_autocast(generator, name: str) -> None:
    make = CRITERIA[name][0]
    features = make_features(generator).half()
    found = make()(features.requires_grad_(), LABELS)
    found.backward()
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, make()(features.float(), LABELS))
    assert features.grad.dtype == torch.float16
    assert features.grad.isfinite().all()


@pytest.mark.parametrize("name", [name for name in CRITERIA if "arcface" in name])
def test_features_of_another_width_or_type(generator, name: str) -> None:
    criterion, features = CRITERIA[name][0](), make_features(generator)
    with pytest.raises(InvalidInputError, match=r"features must be \(B, 8\).* got \(12, 5\)\. Make the criterion with"):
        criterion(features[:, :5], LABELS)
    with pytest.raises(InvalidInputError, match=r"features must be floating-point numbers, got torch.int64"):
        criterion(features.long(), LABELS)


def test_finite_numbers_whose_sum_overflows_are_fine() -> None:
    check_finite(torch.full((2, 3), 3e38))
    check_finite(torch.full((5,), 6e4, dtype=torch.float16))
    check_finite(torch.zeros(0, 3))
    check_finite(torch.full((2, 3), math.nan, device="meta"))


def test_triplets_and_miners_name_the_rows_too(generator) -> None:
    good, bad = make_features(generator), make_features(generator)
    bad[5] = -math.inf
    with pytest.raises(InvalidInputError, match=r"negative must be finite numbers.*infinity: 5\."):
        TripletLoss(0.5)(good, good, bad)
    for miner in (HardTripletsMiner(), AllTripletsMiner(), PairsMiner()):
        with pytest.raises(InvalidInputError, match=r"features must be finite numbers.*infinity: 5\."):
            miner.sample(bad, LABELS)
        with pytest.raises(InvalidInputError, match=r"one label per row of the features.*\b10 labels"):
            miner.sample(good, LABELS[:10])

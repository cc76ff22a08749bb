import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oml.errors import InvalidInputError
from oml.functional import triplets
from oml.functional.losses import (
    AnchorLosses,
    circle_loss,
    contrastive_loss,
    fast_ap_loss,
    lifted_structure_loss,
    multi_similarity_loss,
    nt_xent_loss,
    ranks,
    recall_at_k_loss,
    reduce_anchors,
    semi_hard_triplet_loss,
    smooth_ap_loss,
    sup_con_loss,
)
from oml.functional.losses.anchors import logsumexp_where
from tests.reference import pair_losses as reference

LOSSES = {
    "contrastive": (contrastive_loss, reference.contrastive, (0.1, 0.8)),
    "semi hard": (semi_hard_triplet_loss, reference.semi_hard, (0.3,)),
    "lifted": (lifted_structure_loss, reference.lifted_structure, (0.7,)),
    "nt-xent": (nt_xent_loss, reference.nt_xent, (0.2,)),
    "sup con": (sup_con_loss, reference.sup_con, (0.2,)),
    "multi-similarity": (multi_similarity_loss, reference.multi_similarity, (2.0, 5.0, 0.4, None)),
    "multi-similarity, mined": (multi_similarity_loss, reference.multi_similarity, (2.0, 5.0, 0.4, 0.1)),
    "circle": (circle_loss, reference.circle, (0.3, 4.0)),
    "smooth ap": (smooth_ap_loss, reference.smooth_ap, (0.1,)),
    "recall at k": (recall_at_k_loss, reference.recall_at_k, ((1, 2, 4), 0.1, 0.8)),
    "fast ap": (fast_ap_loss, reference.fast_ap, (7,)),
}
SHAPES = [(0, 0), (1, 0), (1, 1), (3, 1), (1, 6), (5, 8), (8, 5)]


@pytest.fixture(params=LOSSES)
def case(request):
    return LOSSES[request.param]


def make(shape: tuple[int, int], generator: torch.Generator):
    """Any masks, more general than labels: some anchors lack positives or negatives, some candidates are ignored."""
    scores = torch.rand(shape, dtype=torch.float64, generator=generator).requires_grad_()
    kinds = torch.randint(0, 3, shape, generator=generator)
    return scores, kinds == 1, kinds == 2


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_loss_and_gradient_equal_loop(generator, case, shape: tuple[int, int], reduction: str) -> None:
    function, by_loop, options = case
    scores, positives, negatives = make(shape, generator)
    loss = reduce_anchors(function(scores, positives, negatives, *options), reduction)
    loss.square().sum().backward()
    grad, scores.grad = scores.grad, None
    expected = reference.reduce_by_loop(
        reference.list_terms(scores, positives, negatives, by_loop, *options), reduction
    )
    (expected.square().sum() + scores.sum() * 0).backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(grad, scores.grad)


@pytest.mark.parametrize("places", [16, 2])
def test_small_blocks_and_all_places(generator, monkeypatch, case, places: int) -> None:
    """As on other devices, where places of positives are not counted, and as with batches that do not fit a block."""
    function, _, options = case
    scores, positives, negatives = make((6, 9), generator)
    expected = function(scores, positives, negatives, *options).losses
    (expected_grad,) = torch.autograd.grad(expected.sum(), scores)
    monkeypatch.setattr(ranks, "CPU_BLOCK", places)
    monkeypatch.setattr("oml.functional.losses.ranking.take_relevant", lambda *masks: masks)
    monkeypatch.setattr("oml.functional.losses.semi_hard.take_relevant", lambda *masks: masks)
    monkeypatch.setattr(triplets, "CPU_BLOCK", places)
    monkeypatch.setattr(triplets, "CPU_SLOTS", 100 if places == 2 else 0)  # negatives are compared, or sorted
    losses = function(scores, positives, negatives, *options).losses
    torch.testing.assert_close(losses, expected)
    torch.testing.assert_close(torch.autograd.grad(losses.sum(), scores)[0], expected_grad)


def test_gradient_by_finite_differences(generator, case) -> None:
    function, _, options = case
    if function is circle_loss:
        pytest.skip("its weights are constants for the gradient, as the paper has it: see the loop")
    scores, positives, negatives = make((4, 6), generator)
    assert torch.autograd.gradcheck(lambda s: function(s, positives, negatives, *options).losses, (scores,))


def test_gradient_of_circle_with_constant_weights(generator) -> None:
    scores, positives, negatives = make((4, 6), generator)
    (grad,) = torch.autograd.grad(circle_loss(scores, positives, negatives, 0.3, 4.0).losses.sum(), scores)
    step = 1e-6
    known = scores.detach()
    logits = torch.where(
        positives, -4.0 * (1.3 - known).relu() * (scores - 0.7), 4.0 * (known + 0.3).relu() * (scores - 0.3)
    )

    def calc(logits: torch.Tensor) -> torch.Tensor:
        both = logsumexp_where(logits, positives) + logsumexp_where(logits, negatives)
        return torch.nn.functional.softplus(both)[positives.any(dim=1) & negatives.any(dim=1)].sum()

    for a, c in [(0, 0), (1, 3), (2, 5), (3, 2)]:
        slope = torch.where(positives, -4.0 * (1.3 - known).relu(), 4.0 * (known + 0.3).relu())[a, c]
        moved = logits.detach().clone()
        moved[a, c] += slope * step
        difference = (calc(moved) - calc(logits.detach())) / step
        torch.testing.assert_close(grad[a, c], difference, atol=1e-4, rtol=1e-4)  # a one-sided difference


def test_ties_give_finite_gradients(case) -> None:
    function, _, options = case
    positives = torch.tensor([[False, True, False, False]] * 3)
    negatives = torch.tensor([[False, False, True, True]] * 3)
    for value in (0.0, 0.5, 1.0):
        scores = torch.full((3, 4), value, requires_grad=True)
        reduce_anchors(function(scores, positives, negatives, *options), "mean").backward()
        assert scores.grad.isfinite().all()
        assert (scores.grad[:, 0] == 0).all(), "an ignored candidate has a gradient"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(generator, case, dtype: torch.dtype) -> None:
    function, _, options = case
    scores, positives, negatives = make((6, 8), generator)
    half = scores.detach().to(dtype)
    losses = function(half, positives, negatives, *options).losses
    assert losses.dtype == torch.float32
    assert torch.equal(losses, function(half.float(), positives, negatives, *options).losses)


def test_large_exponents_do_not_overflow() -> None:
    similarities = torch.tensor([[1.0, -1.0, 1.0, -1.0]], requires_grad=True)
    positives = torch.tensor([[True, True, False, False]])
    for function, options in (
        (nt_xent_loss, (1e-4,)),
        (sup_con_loss, (1e-4,)),
        (multi_similarity_loss, (1e5, 1e5, 0.5, None)),
        (circle_loss, (0.25, 1e5)),
        (smooth_ap_loss, (1e-8,)),
    ):
        loss = function(similarities, positives, ~positives, *options).losses.sum()
        (grad,) = torch.autograd.grad(loss, similarities)
        assert loss.isfinite(), function
        assert grad.isfinite().all(), function


def test_not_a_number_is_not_hidden(generator, case) -> None:
    function, _, options = case
    scores, positives, negatives = make((5, 8), generator)
    for mask in (positives, negatives):
        anchor, candidate = next(
            (a, c) for a, c in mask.nonzero().tolist() if positives[a].any() and negatives[a].any()
        )
        spoiled = scores.detach().clone()
        spoiled[anchor, candidate] = math.nan
        losses = function(spoiled, positives, negatives, *options).losses
        assert losses.sum(dim=0)[anchor].isnan() if losses.ndim == 2 else losses[anchor].isnan()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(sorted(LOSSES)))
def test_order_of_candidates_does_not_matter(seed: int, name: str) -> None:
    function, _, options = LOSSES[name]
    generator = torch.Generator().manual_seed(seed)
    scores, positives, negatives = make((4, 7), generator)
    order = torch.randperm(7, generator=generator)
    found = function(scores[:, order], positives[:, order], negatives[:, order], *options)
    torch.testing.assert_close(found.losses, function(scores, positives, negatives, *options).losses)


def test_small_temperatures_give_the_metrics(generator) -> None:
    scores, positives, negatives = make((20, 12), generator)
    sorted_by_score = scores.detach().masked_fill(~(positives | negatives), -math.inf).argsort(dim=1, descending=True)
    exist = positives.any(dim=1) & negatives.any(dim=1)
    hits = positives.gather(1, sorted_by_score).double()
    precisions = hits.cumsum(dim=1) / torch.arange(1, 13)
    average = (precisions * hits).sum(dim=1) / hits.sum(dim=1)
    found = 1 - smooth_ap_loss(scores, positives, negatives, 1e-7).losses
    torch.testing.assert_close(found[exist], average[exist], atol=1e-3, rtol=0)  # two scores may be close
    recall = torch.stack([hits[:, :k].sum(dim=1) / hits.sum(dim=1).clamp(max=k) for k in (1, 3)]).mean(dim=0)
    found = 1 - recall_at_k_loss(scores, positives, negatives, (1, 3), 1e-7, 1e-3).losses
    torch.testing.assert_close(found[exist], recall[exist], atol=1e-3, rtol=0)


def test_reducing() -> None:
    losses = AnchorLosses(torch.tensor([6.0, 0.0]), torch.tensor([True, False]), torch.tensor([3, 0]))
    assert reduce_anchors(losses, "mean") == 2
    assert reduce_anchors(losses, "sum") == 6
    parts = AnchorLosses(torch.tensor([[6.0, 0.0], [1.0, 2.0]]), losses.exist, torch.tensor([[3, 0], [1, 1]]))
    assert reduce_anchors(parts, "mean") == 3.5
    assert reduce_anchors(parts, "none").tolist() == [7, 2]
    with pytest.raises(InvalidInputError, match="one of mean, sum, none, got 'max'"):
        reduce_anchors(losses, "max")


def test_errors(case) -> None:
    function, _, options = case
    mask = torch.zeros(2, 3, dtype=torch.bool)
    with pytest.raises(InvalidInputError, match=r"one shape \(A, C\), got \(2, 3\), \(2, 3\) and \(2, 2\)"):
        function(torch.zeros(2, 3), mask, mask[:, :2], *options)
    with pytest.raises(InvalidInputError, match=r"must be bool, got torch.int64 and torch.bool"):
        function(torch.zeros(2, 3), mask.long(), mask, *options)


ONE_OF_EACH = torch.tensor([[True, False]])


def test_lifted_structure_is_not_below_zero() -> None:
    scores = torch.tensor([[0.0, 5.0]], requires_grad=True)
    loss = lifted_structure_loss(scores, ONE_OF_EACH, ~ONE_OF_EACH, margin=1.0).losses
    loss.sum().backward()
    assert loss.item() == 0
    assert not scores.grad.any()


@pytest.mark.parametrize("n_slots", [48, 0])
@pytest.mark.parametrize(("negative", "n_terms"), [(0.25, 0), (0.5, 0), (0.75, 1), (1.0, 0), (1.25, 0)])
def test_semi_hard_are_farther_than_the_positive_and_within_the_margin(
    monkeypatch, negative: float, n_terms: int, n_slots: int
) -> None:
    monkeypatch.setattr(triplets, "CPU_SLOTS", n_slots)
    scores = torch.tensor([[0.5, negative]])
    found = semi_hard_triplet_loss(scores, ONE_OF_EACH, ~ONE_OF_EACH, margin=0.5)
    assert found.n_terms.tolist() == [n_terms]
    assert found.losses.tolist() == [0.25 * n_terms]
    scores[0, 1] = torch.nan
    assert semi_hard_triplet_loss(scores, ONE_OF_EACH, ~ONE_OF_EACH, margin=0.5).losses.isnan().all()


@pytest.mark.parametrize("n_slots", [48, 0])
def test_semi_hard_losses_of_large_distances_keep_the_digits(generator, monkeypatch, n_slots: int) -> None:
    monkeypatch.setattr(triplets, "CPU_SLOTS", n_slots)
    scores = 100 + torch.rand(3, 500, generator=generator)
    positives = torch.arange(500).expand(3, 500) < 4
    found = semi_hard_triplet_loss(scores, positives, ~positives, margin=0.25)
    wide = semi_hard_triplet_loss(scores.double(), positives, ~positives, margin=0.25)
    assert torch.equal(found.n_terms, wide.n_terms)
    torch.testing.assert_close(found.losses.double(), wide.losses, rtol=1e-6, atol=0)


@pytest.mark.parametrize("positive", [1.0, -1.0])
def test_fast_ap_of_equal_and_opposite_vectors(positive: float) -> None:
    scores = torch.tensor([[positive, -positive]])
    loss = fast_ap_loss(scores, ONE_OF_EACH, ~ONE_OF_EACH, n_bins=4).losses
    assert loss.tolist() == [0.0 if positive == 1 else 0.5]

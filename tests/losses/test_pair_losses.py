import copy
import warnings

import pytest
import torch

from oml.errors import InvalidInputError
from oml.functional.relations import Relevance
from oml.losses import (
    CircleLoss,
    ContrastiveLoss,
    FastAPLoss,
    LiftedStructureLoss,
    MultiSimilarityLoss,
    NTXentLoss,
    RecallAtKLoss,
    SemiHardTripletLoss,
    SmoothAPLoss,
    SupConLoss,
)
from tests.reference import pair_losses as reference

LABELS = [0, 0, 0, 1, 1, 2, 2, 3]
CRITERIONS = {
    "contrastive": (lambda r: ContrastiveLoss(0.2, 2.5, r), reference.contrastive, (0.2, 2.5)),
    "semi_hard_triplet": (lambda r: SemiHardTripletLoss(0.5, r), reference.semi_hard, (0.5,)),
    "lifted_structure": (lambda r: LiftedStructureLoss(0.7, r), reference.lifted_structure, (0.7,)),
    "nt_xent": (lambda r: NTXentLoss(0.3, r), reference.nt_xent, (0.3,)),
    "sup_con": (lambda r: SupConLoss(0.3, r), reference.sup_con, (0.3,)),
    "multi_similarity": (
        lambda r: MultiSimilarityLoss(2.0, 5.0, 0.4, 0.3, r),
        reference.multi_similarity,
        (2.0, 5.0, 0.4, 0.3),
    ),
    "circle": (lambda r: CircleLoss(0.3, 4.0, r), reference.circle, (0.3, 4.0)),
    "smooth_ap": (lambda r: SmoothAPLoss(0.1, r), reference.smooth_ap, (0.1,)),
    "recall_at_k": (lambda r: RecallAtKLoss((1, 2), 0.1, 0.8, r), reference.recall_at_k, ((1, 2), 0.1, 0.8)),
    "fast_ap": (lambda r: FastAPLoss(7, r), reference.fast_ap, (7,)),
}


@pytest.fixture(params=CRITERIONS)
def name(request) -> str:
    return request.param


def make(name: str, reduction: str = "mean"):
    return CRITERIONS[name][0](reduction)


def calc_scores(name: str, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    if make(name).score_name == "dist":
        squares = (a[:, None] - b).square().sum(dim=2)
        return torch.where(squares > 0, squares, 1).sqrt() * (squares > 0)
    return (a / a.norm(dim=1, keepdim=True)) @ (b / b.norm(dim=1, keepdim=True)).T


def calc_expected(name: str, reduction: str, scores, positives, negatives) -> torch.Tensor:
    _, by_loop, options = CRITERIONS[name]
    return reference.reduce_by_loop(reference.list_terms(scores, positives, negatives, by_loop, *options), reduction)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("as_tensor", [True, False])
def test_loss_and_gradient_equal_loop(generator, name: str, reduction: str, as_tensor: bool) -> None:
    features = torch.randn(8, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    ids = torch.tensor(LABELS)
    loss = make(name, reduction)(features, ids if as_tensor else LABELS)
    loss.square().sum().backward()
    grad, features.grad = features.grad, None
    same = ids[:, None] == ids
    expected = calc_expected(
        name, reduction, calc_scores(name, features, features), same & ~torch.eye(8, dtype=torch.bool), ~same
    )
    expected.square().sum().backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(grad, features.grad)


@pytest.mark.parametrize("n_refs", [0, 1, 6])
def test_references_are_the_candidates(generator, name: str, n_refs: int) -> None:
    features = torch.randn(3, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    refs = torch.randn(n_refs, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    ref_labels = [0, 1, 1, 2, 2, 5][:n_refs]
    same = torch.tensor([0, 1, 2])[:, None] == torch.tensor(ref_labels, dtype=torch.long)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if n_refs < 6 else "error")
        loss = make(name)(features, [0, 1, 2], refs, ref_labels)
    grads = torch.autograd.grad(loss, (features, refs))
    expected = calc_expected(name, "mean", calc_scores(name, features, refs), same, ~same)
    expected_grads = torch.autograd.grad(expected + (features.sum() + refs.sum()) * 0, (features, refs))
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(grads, expected_grads)


def test_gradient_by_finite_differences(generator, name: str) -> None:
    if name == "circle":
        pytest.skip("its weights are constants for the gradient, as the paper has it: see the loop")
    features = torch.randn(6, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: make(name)(x, [0, 0, 1, 1, 1, 2]), (features,))


def test_other_relations(generator, name: str) -> None:
    features = torch.randn(8, 4, dtype=torch.float64, generator=generator)
    expected = make(name)(features, LABELS)
    ids = torch.tensor(LABELS)
    for labels in (
        torch.nn.functional.one_hot(ids),
        [{f"label {label}"} for label in LABELS],
        Relevance(ids[:, None] == ids),
    ):
        assert torch.equal(make(name)(features, labels), expected)
    several = [{0}, {0, 1}, {1}, {2}, {2, 3}, {3}, {0, 3}, {4}]
    same = torch.tensor([[bool(a & b) for b in several] for a in several])
    loss = make(name)(features, several)
    positives = same & ~torch.eye(8, dtype=torch.bool)
    torch.testing.assert_close(
        loss, calc_expected(name, "mean", calc_scores(name, features, features), positives, ~same)
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("labels", [[], [1], [1, 1, 1], [1, 2, 3]], ids=str)
def test_no_pairs_give_zero_with_a_graph_and_a_warning(generator, name: str, labels: list, reduction: str) -> None:
    needs_both = name != "contrastive" and not (name == "sup_con" and labels == [1, 1, 1])
    features = torch.randn(len(labels), 4, generator=generator).requires_grad_()
    criterion = make(name, reduction)
    if not needs_both and len(labels) > 1:  # pairs of one kind are enough
        assert criterion(features, labels).isfinite().all()
        assert criterion.last_logs["active"] > 0
        return
    with pytest.warns(UserWarning, match=r"no pairs for the loss, so it is 0.*BalanceSampler.*said once"):
        loss = criterion(features, labels)
    loss.sum().backward()
    assert loss.shape == ((len(labels),) if reduction == "none" else ())
    assert not loss.any()
    assert torch.equal(features.grad, torch.zeros(len(labels), 4))
    criterion(features, labels)  # silent now: warnings are errors here
    assert criterion.last_logs["active"] == 0


def test_equal_features_give_finite_gradients(name: str) -> None:
    for features in (torch.ones(8, 4), torch.zeros(8, 4)):
        features.requires_grad_()
        loss = make(name)(features, LABELS)
        loss.backward()
        assert loss.isfinite()
        assert features.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_and_autocast(generator, name: str, dtype: torch.dtype) -> None:
    layer = torch.nn.Linear(4, 5)
    x = torch.randn(8, 4, generator=generator)
    expected = make(name)(layer(x), LABELS).item()
    for enabled in (True, False):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled and dtype != torch.float32):
            features = layer(x) if enabled else layer(x).to(dtype)
            loss = make(name)(features, LABELS)
        loss.backward()
        assert loss.dtype == torch.float32
        # the features have 8 bits, the loss is float32; another pair may be the one inside a margin then
        assert loss.item() == pytest.approx(expected, rel=0.2)
        assert layer.weight.grad.isfinite().all()


def test_backward_inside_autocast_is_as_precise(generator, name: str) -> None:
    features = torch.randn(8, 4, generator=generator, requires_grad=True)
    (expected,) = torch.autograd.grad(make(name)(features, LABELS), features)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (grad,) = torch.autograd.grad(make(name)(features, LABELS), features)
    torch.testing.assert_close(grad, expected)


def test_order_of_the_batch_does_not_matter(generator, name: str) -> None:
    features = torch.randn(8, 4, dtype=torch.float64, generator=generator)
    order = torch.randperm(8, generator=generator)
    again = make(name)(features[order], torch.tensor(LABELS)[order])
    torch.testing.assert_close(again, make(name)(features, LABELS))


def test_logs(generator, name: str) -> None:
    features = torch.randn(8, 4, dtype=torch.float64, generator=generator)
    criterion, each = make(name), make(name, "none")
    assert criterion.last_logs == {}
    criterion(features, LABELS)
    ids = torch.tensor(LABELS)
    same, scores = ids[:, None] == ids, calc_scores(name, features, features)
    kind = criterion.score_name
    n_anchors = 8 if name == "contrastive" else 7  # the last one has no positive
    assert criterion.last_logs == pytest.approx(
        {
            "active": (each(features, LABELS) > 0).sum().item() / n_anchors,
            f"pos_{kind}": scores[same & ~torch.eye(8, dtype=torch.bool)].mean().item(),
            f"neg_{kind}": scores[~same].mean().item(),
        }
    )
    assert all(type(value) is float for value in criterion.last_logs.values())


def test_a_loss_can_be_copied_printed_and_named(name: str) -> None:
    criterion = make(name)
    criterion(torch.randn(8, 4, requires_grad=True) * 1, LABELS)  # not a leaf, which could not be copied
    again = copy.deepcopy(criterion)
    assert repr(again) == repr(criterion)
    assert "reduction='mean'" in repr(criterion)
    assert criterion.criterion_name == name
    assert not list(criterion.parameters())
    assert not criterion.state_dict()


def test_errors(name: str) -> None:
    with pytest.raises(InvalidInputError, match="one of mean, sum, none, got 'max'"):
        make(name, "max")
    with pytest.raises(InvalidInputError, match="one label per row of the features, got 3 labels and 2 features"):
        make(name)(torch.zeros(2, 3), [0, 0, 1])
    with pytest.raises(InvalidInputError, match=r"features must be a matrix \(B, D\), got the shape \(2,\)"):
        make(name)(torch.zeros(2), [0, 0])
    with pytest.raises(InvalidInputError, match="given together, or neither; only ref_features was given"):
        make(name)(torch.zeros(2, 3), [0, 0], torch.zeros(2, 3))


@pytest.mark.parametrize(
    ("construct", "message"),
    [
        (lambda: ContrastiveLoss(1.0, 0.5), "got positive_margin=1.0 and negative_margin=0.5"),
        (lambda: ContrastiveLoss(-0.1), "0 <= positive_margin < negative_margin, got positive_margin=-0.1"),
        (lambda: SemiHardTripletLoss(0), "margin must be above 0, got 0"),
        (lambda: LiftedStructureLoss(-1), "margin must be above 0, got -1"),
        (lambda: NTXentLoss(0), "temperature must be above 0, got 0"),
        (lambda: SupConLoss(-1), "temperature must be above 0, got -1"),
        (lambda: MultiSimilarityLoss(alpha=0), "alpha must be above 0, got 0"),
        (lambda: MultiSimilarityLoss(beta=-1), "beta must be above 0, got -1"),
        (lambda: CircleLoss(margin=1.5), "margin must be between 0 and 1, got 1.5"),
        (lambda: CircleLoss(scale=0), "scale must be above 0, got 0"),
        (lambda: SmoothAPLoss(0), "temperature must be above 0, got 0"),
        (lambda: RecallAtKLoss(()), r"at least one number, all of them at least 1, got \(\)"),
        (lambda: RecallAtKLoss((0, 1)), r"all of them at least 1, got \(0, 1\)"),
        (lambda: RecallAtKLoss(rank_temperature=0), "rank_temperature must be above 0, got 0"),
        (lambda: FastAPLoss(0), "n_bins must be at least 1, got 0"),
    ],
)
def test_options(construct, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        construct()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_nothing_waits_for_the_device(generator, name: str) -> None:
    features = torch.randn(8, 4, generator=generator, requires_grad=True)
    expected = make(name)(features, LABELS)
    (expected_grad,) = torch.autograd.grad(expected, features)
    criterion, on_device, labels = make(name), features.detach().cuda().requires_grad_(), torch.tensor(LABELS).cuda()
    criterion(on_device, labels).backward()  # libraries are loaded the first time
    on_device.grad = None
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss = criterion(on_device, labels)
        loss.backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(loss.cpu(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(on_device.grad.cpu(), expected_grad, rtol=1e-3, atol=1e-5)

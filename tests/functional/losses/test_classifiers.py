import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oml.errors import InvalidInputError
from oml.functional.losses import (
    arcface_loss,
    class_logits,
    cosface_loss,
    normalised_softmax_loss,
    proxy_anchor_loss,
    proxy_nca_loss,
    soft_triple_loss,
    subcenter_arcface_loss,
)
from oml.functional.losses.margins import add_angular_margin
from oml.functional.losses.proxies import calc_spread_of_centres
from tests.reference.classifiers import (
    calc_classifier_losses_by_loop,
    calc_proxy_anchor_by_loop,
    calc_proxy_nca_by_loop,
    calc_spread_by_loop,
)

N_CLASSES, N_FEATURES = 6, 5
LABELS = [0, 2, 5, 2, 1, 0, 3]
CATEGORIES = [0, 1, 0, 1, 9, 0]

# name -> (ours, by a loop, number of centres or None), each of features, weight and labels
LOSSES = {
    "arcface": (
        lambda x, w, y: arcface_loss(x, w, y, 0.4, 16, reduction="none"),
        lambda x, w, y: calc_classifier_losses_by_loop(x, w[:, None], y, 16, "angle", 0.4),
        None,
    ),
    "arcface, large margin and scale": (
        lambda x, w, y: arcface_loss(x, w, y, 2.5, 100, reduction="none"),
        lambda x, w, y: calc_classifier_losses_by_loop(x, w[:, None], y, 100, "angle", 2.5),
        None,
    ),
    "arcface, smooth": (
        lambda x, w, y: arcface_loss(x, w, y, 0.4, 16, 0.3, reduction="none"),
        lambda x, w, y: calc_classifier_losses_by_loop(x, w[:, None], y, 16, "angle", 0.4, epsilon=0.3),
        None,
    ),
    "arcface, smooth in categories": (
        lambda x, w, y: arcface_loss(x, w, y, 0.4, 100, 0.3, torch.tensor(CATEGORIES), reduction="none"),
        lambda x, w, y: calc_classifier_losses_by_loop(
            x, w[:, None], y, 100, "angle", 0.4, epsilon=0.3, categories=CATEGORIES
        ),
        None,
    ),
    "cosface": (
        lambda x, w, y: cosface_loss(x, w, y, 0.4, 16, reduction="none"),
        lambda x, w, y: calc_classifier_losses_by_loop(x, w[:, None], y, 16, "cosine", 0.4),
        None,
    ),
    "normalised softmax": (
        lambda x, w, y: normalised_softmax_loss(x, w, y, 0.1, reduction="none"),
        lambda x, w, y: calc_classifier_losses_by_loop(x, w[:, None], y, 10),
        None,
    ),
    "subcenter": (
        lambda x, w, y: subcenter_arcface_loss(x, w, y, 0.4, 16, reduction="none"),
        lambda x, w, y: calc_classifier_losses_by_loop(x, w, y, 16, "angle", 0.4),
        3,
    ),
    "proxy nca": (
        lambda x, w, y: proxy_nca_loss(x, w, y, 0.2, reduction="none"),
        lambda x, w, y: calc_proxy_nca_by_loop(x, w, y, 0.2),
        None,
    ),
    "soft triple": (
        lambda x, w, y: soft_triple_loss(x, w, y, 0.1, 16, 0.2, 0.5, reduction="none"),
        lambda x, w, y: (
            calc_classifier_losses_by_loop(x, w, y, 16, "cosine", 0.1, "soft", 0.2) + 0.5 * calc_spread_by_loop(w)
        ),
        3,
    ),
    "proxy anchor": (
        lambda x, w, y: proxy_anchor_loss(x, w, y, 0.2, 8),
        lambda x, w, y: calc_proxy_anchor_by_loop(x, w, y, 0.2, 8),
        None,
    ),
}


@pytest.fixture(params=[1, 4, 10**6], ids=lambda n_classes: f"{n_classes} classes a block")
def block(request, monkeypatch):
    monkeypatch.setattr(class_logits, "CPU_BLOCK", request.param * len(LABELS))


def make_case(generator, n_centres, n_items=7, dtype=torch.float64):
    shape = (N_CLASSES, N_FEATURES) if n_centres is None else (N_CLASSES, n_centres, N_FEATURES)
    features = torch.randn(n_items, N_FEATURES, generator=generator, dtype=dtype, requires_grad=True)
    weight = torch.randn(shape, generator=generator, dtype=dtype, requires_grad=True)
    return features, weight, torch.tensor(LABELS[:n_items])


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradients_equal_loop(generator, name: str) -> None:
    ours, by_loop, n_centres = LOSSES[name]
    features, weight, labels = make_case(generator, n_centres)
    weights = torch.rand(len(LABELS), generator=generator, dtype=torch.float64)  # each item's gradient is its own
    losses, expected = ours(features, weight, labels), by_loop(features, weight, LABELS)
    torch.testing.assert_close(losses, expected)
    gradients = torch.autograd.grad((losses * weights).sum(), (features, weight))
    torch.testing.assert_close(gradients, torch.autograd.grad((expected * weights).sum(), (features, weight)))


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_by_finite_differences(generator, name: str) -> None:
    ours, _, n_centres = LOSSES[name]
    features, weight, labels = make_case(generator, n_centres, n_items=4)
    assert torch.autograd.gradcheck(lambda x, w: ours(x, w, labels), (features, weight))
    assert torch.autograd.gradcheck(lambda x: ours(x, weight.detach(), labels), (features,))
    assert torch.autograd.gradcheck(lambda w: ours(features.detach(), w, labels), (weight,))


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("name", LOSSES)
def test_without_gradients_and_backward_twice(generator, name: str) -> None:
    ours, _, n_centres = LOSSES[name]
    features, weight, labels = make_case(generator, n_centres)
    loss = ours(features, weight, labels)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            torch.testing.assert_close(ours(features, weight, labels), loss.detach())
    first = torch.autograd.grad(loss.sum(), (features, weight), retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(loss.sum(), (features, weight)), first)


@pytest.mark.parametrize("name", LOSSES)
def test_second_derivatives_are_refused(generator, name: str) -> None:
    ours, _, n_centres = LOSSES[name]
    features, weight, labels = make_case(generator, n_centres)
    with pytest.raises(RuntimeError, match=r"no second derivative \(create_graph=True\)"):
        torch.autograd.grad(ours(features, weight, labels).sum(), features, create_graph=True)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_and_autocast(generator, name: str, dtype: torch.dtype) -> None:
    ours, _, n_centres = LOSSES[name]
    features, weight, labels = make_case(generator, n_centres, dtype=torch.float32)
    half = features.detach().to(dtype).requires_grad_()
    expected = ours(half.detach().float(), weight, labels).detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = ours(half, weight, labels)
        loss.sum().backward()  # inside, too: it must not fall back to half precision
        with torch.no_grad():
            torch.testing.assert_close(ours(half, weight, labels), expected, rtol=1e-5, atol=1e-5)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    assert half.grad.dtype == dtype
    in_float = half.detach().float().requires_grad_()
    exact = torch.autograd.grad(ours(in_float, weight, labels).sum(), (in_float, weight))
    torch.testing.assert_close(weight.grad, exact[1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(half.grad, exact[0].to(dtype), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("name", LOSSES)
def test_a_weight_in_half_precision(generator, name: str) -> None:
    ours, _, n_centres = LOSSES[name]
    features, weight, labels = make_case(generator, n_centres, dtype=torch.float32)
    half = weight.detach().bfloat16().requires_grad_()
    wide = half.detach().float().requires_grad_()
    losses, expected = ours(features, half, labels), ours(features, wide, labels)
    torch.testing.assert_close(losses, expected, rtol=1e-2, atol=1e-2)
    losses.sum().backward()
    expected.sum().backward()
    assert half.grad.dtype == torch.bfloat16
    torch.testing.assert_close(half.grad.float(), wide.grad, rtol=3e-2, atol=3e-2)


@pytest.mark.parametrize("name", LOSSES)
def test_opposite_equal_and_zero_vectors_give_finite_gradients(name: str) -> None:
    ours, _, n_centres = LOSSES[name]
    weight = torch.eye(N_CLASSES, N_FEATURES)  # the last one is 0
    features = torch.stack([weight[0], -weight[0], weight[1], torch.zeros(N_FEATURES), 1e-30 * weight[2]])
    labels = torch.tensor([0, 0, 2, 5, 5])
    features.requires_grad_()
    weight = (weight if n_centres is None else weight[:, None].repeat(1, n_centres, 1)).requires_grad_()
    losses = ours(features, weight, labels)
    losses.sum().backward()
    assert losses.isfinite().all()
    assert features.grad.isfinite().all()
    assert weight.grad.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_no_item_one_item_one_class(generator, name: str) -> None:
    ours, by_loop, n_centres = LOSSES[name]
    features, weight, _ = make_case(generator, n_centres)
    none = ours(features[:0], weight, torch.tensor([], dtype=torch.int64))
    gradients = torch.autograd.grad(none.sum(), (features, weight))
    if "soft triple" not in name:  # its regulariser asks for no items
        assert none.sum() == 0
        assert all(torch.equal(gradient, torch.zeros_like(gradient)) for gradient in gradients)
    one = ours(features[:1], weight, torch.tensor([3]))
    torch.testing.assert_close(one, by_loop(features[:1], weight, [3]))
    if "categories" not in name:
        single = ours(features[:2], weight[:1], torch.tensor([0, 0]))
        torch.testing.assert_close(single, by_loop(features[:2], weight[:1], [0, 0]))


@given(st.integers(0, 10**6), st.sampled_from([1.0, 64.0, 1000.0]), st.sampled_from(["mean", "sum"]))
def test_lengths_do_not_matter_and_classes_may_be_renumbered(seed: int, scale: float, reduction: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    features, weight, labels = make_case(generator, None)
    order = torch.randperm(N_CLASSES, generator=generator)
    found = arcface_loss(features, weight, labels, 0.5, scale, reduction=reduction)
    lengths = torch.rand(N_CLASSES, 1, generator=generator) + 0.1
    moved = arcface_loss(
        3 * features, (lengths * weight)[order], order.argsort()[labels], 0.5, scale, 0.0, None, reduction
    )
    torch.testing.assert_close(moved, found)
    (gradient,) = torch.autograd.grad(found, weight)
    torch.testing.assert_close(
        (gradient * weight).sum(dim=1), torch.zeros(N_CLASSES, dtype=torch.float64), atol=1e-9, rtol=0
    )


def test_many_far_classes_do_not_underflow() -> None:
    """The item is opposite to all classes, so all logits are near -scale."""
    weight = torch.tensor([[1.0, 0.0], [1.0, 0.01]])
    features = torch.tensor([[-1.0, 0.0]], requires_grad=True)
    for scale in (60.0, 69.0, 71.0, 500.0):
        loss = cosface_loss(features, weight, torch.tensor([0]), 0.0, scale)
        expected = cosface_loss(features.double(), weight.double(), torch.tensor([0]), 0.0, scale)
        torch.testing.assert_close(loss, expected.float(), rtol=1e-3, atol=1e-3)
        assert torch.autograd.grad(loss, features)[0].isfinite().all()


def test_the_margin_of_an_angle_is_continuous_in_its_derivative() -> None:
    cosines = torch.linspace(-1, 1, 1001, dtype=torch.float64)[1:-1].requires_grad_()
    with_margin, slopes = add_angular_margin(cosines, 0.5)
    (expected,) = torch.autograd.grad(with_margin.sum(), cosines)
    torch.testing.assert_close(slopes, expected)
    assert (with_margin.diff() > 0).sum() >= 997  # rising, except where the formula changes


def test_of_equally_near_centres_the_first_counts() -> None:
    weight = torch.tensor([[[0.0, -1.0], [1.0, 1.0], [2.0, 2.0]], [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]])
    weight.requires_grad_()
    subcenter_arcface_loss(torch.tensor([[0.0, 1.0]]), weight, torch.tensor([0])).backward()
    assert weight.grad.abs().sum(dim=2).gt(0).tolist() == [[False, True, False], [True, False, False]]


def test_the_spread_of_equal_centres_is_0_with_a_gradient() -> None:
    weight = torch.ones(2, 3, 4, requires_grad=True)
    spread = calc_spread_of_centres(weight @ weight.mT)
    spread.backward()
    assert spread == 0
    assert torch.equal(weight.grad, torch.zeros_like(weight))
    assert calc_spread_of_centres(weight[:, :1] @ weight[:, :1].mT) == 0


X, W, Y = torch.ones(2, 4), torch.ones(3, 4), torch.tensor([0, 2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: arcface_loss(X, W, torch.tensor([0, 3])), r"between 0 and num_classes - 1.*num_classes=3.*range: 3\."),
        (lambda: arcface_loss(X, W, torch.tensor([-1, -1])), r"out of range: -1\. Number the training labels"),
        (lambda: arcface_loss(X, W, Y.float()), r"Labels must be integers"),
        (lambda: arcface_loss(X, W, Y[:1]), r"one label per row of the features, got 2 rows and 1 labels"),
        (lambda: arcface_loss(X[:, :3], W, Y), r"features must be \(B, 4\).*got \(2, 3\).*in_features"),
        (lambda: arcface_loss(X[0], W, Y), r"features must be \(B, 4\).*got \(4,\)"),
        (lambda: arcface_loss(X.long(), W, Y), r"features must be floating-point numbers, got torch.int64"),
        (
            lambda: arcface_loss(X.to("meta"), W, Y),
            r"features are on meta, but the vectors.*cpu.*criterion.to\('meta'\)",
        ),
        (lambda: arcface_loss(X, W, Y.to("meta")), r"labels are on meta, but the features are on cpu"),
        (lambda: arcface_loss(X, W, Y, margin=3.2), r"margin m must be an angle in \[0, pi\).*got 3.2"),
        (lambda: arcface_loss(X, W, Y, scale=0), r"scale s must be above 0, got 0"),
        (lambda: arcface_loss(X, W, Y, epsilon=1.5), r"epsilon must be in \[0, 1\), got 1.5"),
        (lambda: arcface_loss(X, W, Y, epsilon=0.1, categories=Y), r"categories must give.*3 labels.*got \(2,\)"),
        (lambda: arcface_loss(X, W, Y, reduction="max"), r"reduction must be one of mean, sum, none, got 'max'"),
        (lambda: cosface_loss(X, W, Y, margin=2), r"taken off a cosine.*\[0, 2\), got 2"),
        (lambda: normalised_softmax_loss(X, W, Y, temperature=0), r"temperature must be above 0, got 0"),
        (lambda: proxy_nca_loss(X, W, Y, temperature=-1), r"temperature must be above 0, got -1"),
        (lambda: subcenter_arcface_loss(X, W, Y), r"weight must be \(C, K, D\).*got \(3, 4\)"),
        (lambda: soft_triple_loss(X, W, Y), r"weight must be \(C, K, D\).*got \(3, 4\)"),
        (lambda: soft_triple_loss(X, W[:, None], Y, tau=-1), r"tau must be at least 0, got -1"),
        (lambda: soft_triple_loss(X, W[:, None], Y, gamma=0), r"gamma must be above 0, got 0"),
        (lambda: proxy_anchor_loss(X, W, Y, margin=-0.1), r"added to a cosine.*\[0, 2\), got -0.1"),
        (lambda: proxy_anchor_loss(X, W, Y, alpha=0), r"alpha must be above 0, got 0"),
        (lambda: proxy_anchor_loss(X, W, torch.tensor([0, 9])), r"out of range: 9"),
    ],
)
def test_errors(call, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        call()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", LOSSES)
def test_on_cuda_nothing_waits_and_the_result_is_the_same(generator, name: str) -> None:
    ours, _, n_centres = LOSSES[name]
    features, weight, labels = make_case(generator, n_centres, dtype=torch.float32)
    expected = torch.autograd.grad(ours(features, weight, labels).sum(), (features, weight))
    if "categories" in name:
        pytest.skip("its categories are on the processor")
    on_device = [features.detach().cuda().requires_grad_(), weight.detach().cuda().requires_grad_()]
    device_labels = labels.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        gradients = torch.autograd.grad(ours(*on_device, device_labels).sum(), on_device)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for gradient, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient.cpu(), wanted, rtol=1e-3, atol=1e-4)

import copy
import math
import pickle

import pytest
import torch
from torch import nn

from oml.errors import InvalidInputError
from oml.losses import (
    ArcFaceLoss,
    ArcFaceLossWithMLP,
    CosFaceLoss,
    NormalisedSoftmaxLoss,
    ProxyAnchorLoss,
    ProxyNCALoss,
    SoftTripleLoss,
    SubCenterArcFaceLoss,
)
from oml.losses.class_loss import ClassLoss
from tests.reference.classifiers import calc_classifier_losses_by_loop, calc_spread_by_loop

N_CLASSES, N_FEATURES = 6, 5
LABELS = [0, 2, 5, 2, 1, 0, 3]
CRITERIA = {
    "arcface": lambda **more: ArcFaceLoss(N_FEATURES, N_CLASSES, **more),
    "arcface, smooth": lambda **more: ArcFaceLoss(
        N_FEATURES, N_CLASSES, smoothing_epsilon=0.2, label2category=dict(enumerate("abbaac")), **more
    ),
    "cosface": lambda **more: CosFaceLoss(N_FEATURES, N_CLASSES, **more),
    "subcenter": lambda **more: SubCenterArcFaceLoss(N_FEATURES, N_CLASSES, **more),
    "normalised softmax": lambda **more: NormalisedSoftmaxLoss(N_FEATURES, N_CLASSES, **more),
    "proxy nca": lambda **more: ProxyNCALoss(N_FEATURES, N_CLASSES, **more),
    "proxy anchor": lambda **more: ProxyAnchorLoss(N_FEATURES, N_CLASSES, **more),
    "soft triple": lambda **more: SoftTripleLoss(N_FEATURES, N_CLASSES, n_centres=4, **more),
    "arcface with mlp": lambda **more: ArcFaceLossWithMLP(N_FEATURES, N_CLASSES, [32, 8], **more),
}


def make_batch(generator, dtype=torch.float32):
    features = torch.randn(len(LABELS), N_FEATURES, generator=generator, dtype=dtype, requires_grad=True)
    return features, torch.tensor(LABELS)


def calc_arcface_by_paper(features, weight, labels, m, s):
    """The formula as it is usually written, with a matrix of targets."""
    cosine = nn.functional.linear(nn.functional.normalize(features), nn.functional.normalize(weight))
    sine = (1 - cosine.square()).sqrt()
    phi = cosine * math.cos(m) - sine * math.sin(m)
    phi = torch.where(cosine > math.cos(math.pi - m), phi, cosine - math.sin(math.pi - m) * m)
    one_hot = nn.functional.one_hot(labels, len(weight))
    return nn.functional.cross_entropy(s * (one_hot * phi + (1 - one_hot) * cosine), labels)


@pytest.mark.parametrize("m", [0.0, 0.5, 1.5])
@pytest.mark.parametrize("s", [1.0, 64.0, 128.0])
def test_arcface_equals_the_common_formula(generator, m: float, s: float) -> None:
    features, labels = make_batch(generator, torch.float64)
    criterion = ArcFaceLoss(N_FEATURES, N_CLASSES, m, s).double()
    loss, expected = criterion(features, labels), calc_arcface_by_paper(features, criterion.weight, labels, m, s)
    torch.testing.assert_close(loss, expected)
    ours = torch.autograd.grad(loss, (features, criterion.weight))
    torch.testing.assert_close(ours, torch.autograd.grad(expected, (features, criterion.weight)))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_options_reach_the_loss(generator, reduction: str) -> None:
    features, labels = make_batch(generator, torch.float64)
    reduce = {"mean": torch.mean, "sum": torch.sum, "none": lambda x: x}[reduction]

    def compare(criterion: nn.Module, *options) -> None:
        criterion = criterion.double()
        weight = criterion.weight if criterion.weight.ndim == 3 else criterion.weight[:, None]
        expected = reduce(calc_classifier_losses_by_loop(features, weight, LABELS, *options))
        if isinstance(criterion, SoftTripleLoss):
            expected = expected + criterion.tau * calc_spread_by_loop(weight)
        torch.testing.assert_close(criterion(features, labels), expected)
        torch.testing.assert_close(criterion(features, LABELS), expected)

    sizes = {"in_features": N_FEATURES, "num_classes": N_CLASSES, "reduction": reduction}
    compare(ArcFaceLoss(m=0.3, s=8, **sizes), 8, "angle", 0.3)
    categories = {5: "x", 4: "y", 3: "x", 2: "x", 1: "y", 0: "z", 77: "of a label that is not trained"}
    numbers = [0, 1, 2, 2, 1, 2]
    smooth = ArcFaceLoss(m=0.3, s=8, smoothing_epsilon=0.4, label2category=categories, **sizes)
    compare(smooth, 8, "angle", 0.3, "nearest", 0.1, 0.4, numbers)
    compare(ArcFaceLoss(m=0.3, s=8, smoothing_epsilon=0.4, **sizes), 8, "angle", 0.3, "nearest", 0.1, 0.4)
    compare(ArcFaceLoss(m=0.3, s=8, smoothing_epsilon=None, **sizes), 8, "angle", 0.3)
    compare(CosFaceLoss(m=0.3, s=8, **sizes), 8, "cosine", 0.3)
    compare(SubCenterArcFaceLoss(n_centres=2, m=0.3, s=8, **sizes), 8, "angle", 0.3)
    compare(NormalisedSoftmaxLoss(temperature=0.25, **sizes), 4)
    compare(ProxyNCALoss(temperature=0.25, **sizes), 8)
    compare(
        SoftTripleLoss(n_centres=2, margin=0.2, scale=8, gamma=0.3, tau=0.7, **sizes), 8, "cosine", 0.2, "soft", 0.3
    )


@pytest.mark.parametrize("name", CRITERIA)
def test_training_lowers_the_loss_and_logs_tell(generator, name: str) -> None:
    torch.manual_seed(0)
    criterion = CRITERIA[name]()
    features, labels = make_batch(generator)
    features = features.detach()  # the first item and the sixth have one label, so have the second and the fourth
    features[5], features[3] = features[0], features[1]
    assert criterion.last_logs == {}
    optimizer = torch.optim.Adam(criterion.parameters(), lr=0.05)
    losses = []
    for _ in range(80):
        optimizer.zero_grad()
        losses.append(criterion(features, labels))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0]
    logs = criterion.last_logs
    assert set(logs) == {"accuracy", "pos_sim"}
    assert all(type(value) is float for value in logs.values())
    assert logs["accuracy"] == 1
    assert 0.5 < logs["pos_sim"] <= 1 + 1e-6


def test_accuracy_is_without_the_margin() -> None:
    criterion = ArcFaceLoss(2, 2, m=1.0)
    criterion.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    features = torch.tensor([[1.0, 0.9], [0.0, 3.0], [0.5, 0.1], [2.0, 0.0]])
    criterion(features, [0, 1, 0, 1])
    assert criterion.last_logs["accuracy"] == 0.75
    criterion(features[:0], [])
    assert criterion.last_logs == {"accuracy": 0, "pos_sim": 0}


def test_fc_and_smooth_labels(generator) -> None:
    features, labels = make_batch(generator)
    criterion = ArcFaceLoss(N_FEATURES, N_CLASSES, smoothing_epsilon=0.3)
    expected = nn.functional.cosine_similarity(features[:, None], criterion.weight[None], dim=2)
    torch.testing.assert_close(criterion.fc(features), expected)
    targets = criterion.smooth_labels(labels)
    torch.testing.assert_close(targets[0], torch.tensor([0.75, 0.05, 0.05, 0.05, 0.05, 0.05]))


@pytest.mark.parametrize("name", CRITERIA)
def test_state_copies_and_printing(generator, name: str) -> None:
    criterion, other = CRITERIA[name](), CRITERIA[name]()
    batch = make_batch(generator)
    loss = criterion(*batch)
    assert not torch.equal(loss, other(*batch))
    other.load_state_dict(criterion.state_dict())
    for copied in (other, copy.deepcopy(criterion), pickle.loads(pickle.dumps(criterion))):
        torch.testing.assert_close(copied(*batch), loss)
    names = [n for n in criterion.state_dict() if not n.startswith("mlp.")]
    assert names == (["arcface.weight"] if name == "arcface with mlp" else ["weight"])
    assert f"{N_CLASSES}" in repr(criterion)


def test_the_mlp_is_that_of_torchvision(generator) -> None:
    from torchvision.ops import MLP

    criterion = ArcFaceLossWithMLP(N_FEATURES, N_CLASSES, [8, 7, 4])
    theirs = MLP(N_FEATURES, [8, 7, 4])
    theirs.load_state_dict(criterion.mlp.state_dict())
    features, labels = make_batch(generator)
    torch.testing.assert_close(criterion.mlp(features), theirs(features))
    torch.testing.assert_close(criterion(features, labels), criterion.arcface(theirs(features), labels))


def test_a_state_of_other_sizes_is_refused() -> None:
    state = ArcFaceLoss(4, 10).state_dict()
    with pytest.raises(RuntimeError, match=r"weight of the checkpoint is 10 classes of 4 features.*12 classes of 4"):
        ArcFaceLoss(4, 12).load_state_dict(state)
    with pytest.raises(RuntimeError, match=r"10 classes of 4 features, but this CosFaceLoss has 10 classes of 8 feat"):
        CosFaceLoss(8, 10).load_state_dict(state)
    with pytest.raises(RuntimeError, match=r"10 classes of 4 features, but.* 10 classes with 3 centres of 4 features"):
        SubCenterArcFaceLoss(4, 10).load_state_dict(state)
    whole = nn.ModuleDict({"loss": ArcFaceLoss(4, 3)})
    with pytest.raises(
        RuntimeError, match=r"loss.weight of the checkpoint is of the shape \(2,\).*leave out loss.weight"
    ):
        whole.load_state_dict({"loss.weight": torch.zeros(2)})
    with pytest.raises(RuntimeError, match=r"Missing key\(s\) in state_dict: \"weight\""):
        ArcFaceLoss(4, 10).load_state_dict({})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ArcFaceLoss(4, 3, smoothing_epsilon=1), r"smoothing_epsilon must be in \[0, 1\).*got 1"),
        (lambda: ArcFaceLoss(4, 3, smoothing_epsilon=-0.5), r"smoothing_epsilon must be in \[0, 1\).*got -0.5"),
        (lambda: ArcFaceLoss(4, 3, label2category={0: 1}), r"label2category.*num_classes - 1 = 2.*missing: 1, 2"),
        (lambda: ArcFaceLoss(4, 3, m=4), r"margin m must be an angle.*got 4"),
        (lambda: ArcFaceLoss(4, 3, s=-1), r"scale s must be above 0, got -1"),
        (lambda: ArcFaceLoss(4, 0), r"num_classes must be at least 1, got 0"),
        (lambda: ArcFaceLoss(0, 3), r"in_features must be at least 1, got 0"),
        (lambda: ArcFaceLoss(4, 3, reduction="avg"), r"reduction must be one of mean, sum, none, got 'avg'"),
        (lambda: ArcFaceLossWithMLP(4, 3, []), r"mlp_features must hold at least one.*got \[\].*ArcFaceLoss"),
        (lambda: ArcFaceLossWithMLP(4, 3, [5, 0]), r"mlp_features.*all at least 1, got \[5, 0\]"),
        (lambda: CosFaceLoss(4, 3, m=2), r"taken off a cosine.*got 2"),
        (lambda: SubCenterArcFaceLoss(4, 3, n_centres=0), r"n_centres must be at least 1, got 0"),
        (lambda: NormalisedSoftmaxLoss(4, 3, 0), r"temperature must be above 0, got 0"),
        (lambda: ProxyNCALoss(4, 3, -1), r"temperature must be above 0, got -1"),
        (lambda: ProxyAnchorLoss(4, 3, margin=2), r"added to a cosine.*got 2"),
        (lambda: ProxyAnchorLoss(4, 3, alpha=0), r"alpha must be above 0, got 0"),
        (lambda: SoftTripleLoss(4, 3, n_centres=0), r"at least 1 centre for each class, got 0"),
        (lambda: SoftTripleLoss(4, 3, tau=-1), r"tau must be at least 0, got -1"),
    ],
)
def test_errors_of_options(make, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()


def test_errors_of_batches() -> None:
    criterion = ArcFaceLoss(4, 3)
    with pytest.raises(AssertionError, match=r"You should provide labels between 0 and num_classes - 1\.") as caught:
        criterion(torch.zeros(2, 4), [3, 1])
    assert "out of range: 3." in str(caught.value)
    with pytest.raises(InvalidInputError, match="one label per row"):
        criterion(torch.zeros(2, 4), [1])
    with pytest.raises(TypeError, match="labels must be a tensor or a list, got str"):
        criterion(torch.zeros(2, 4), "ab")
    with pytest.raises(InvalidInputError, match=r"features are on meta, but the vectors of the classes are on cpu"):
        criterion(torch.zeros(2, 4, device="meta"), [0, 1])
    with pytest.raises(NotImplementedError, match="ClassLoss must define _make_head"):
        ClassLoss(4, 3)(torch.zeros(2, 4), [0, 1])


def make_peers():
    """Name -> (ours, theirs, how our weight becomes theirs)."""
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    regularizers = pytest.importorskip("pytorch_metric_learning.regularizers")
    sizes = {"num_classes": N_CLASSES, "embedding_size": N_FEATURES}
    degrees = math.degrees(0.4)

    def spread(n_centres):
        return regularizers.SparseCentersRegularizer(N_CLASSES, n_centres)

    return {
        "arcface": (ArcFaceLoss(N_FEATURES, N_CLASSES, 0.4, 30), losses.ArcFaceLoss(**sizes, margin=degrees, scale=30)),
        "cosface": (CosFaceLoss(N_FEATURES, N_CLASSES, 0.4, 30), losses.CosFaceLoss(**sizes, margin=0.4, scale=30)),
        "subcenter": (
            SubCenterArcFaceLoss(N_FEATURES, N_CLASSES, 3, 0.4, 30),
            losses.SubCenterArcFaceLoss(**sizes, margin=degrees, scale=30, sub_centers=3),
        ),
        "normalised softmax": (
            NormalisedSoftmaxLoss(N_FEATURES, N_CLASSES, 0.07),
            losses.NormalizedSoftmaxLoss(**sizes, temperature=0.07),
        ),
        "proxy nca": (ProxyNCALoss(N_FEATURES, N_CLASSES, 0.2), losses.ProxyNCALoss(**sizes, softmax_scale=5)),
        "proxy anchor": (
            ProxyAnchorLoss(N_FEATURES, N_CLASSES, 0.2, 16),
            losses.ProxyAnchorLoss(**sizes, margin=0.2, alpha=16),
        ),
        "soft triple": (
            SoftTripleLoss(N_FEATURES, N_CLASSES, 3, 0.05, 15, 0.2, tau=0),
            losses.SoftTripleLoss(**sizes, centers_per_class=3, la=15, gamma=0.2, margin=0.05),
        ),
        "soft triple, regularised": (
            SoftTripleLoss(N_FEATURES, N_CLASSES, 3, 0.05, 15, 0.2, tau=0.3),
            losses.SoftTripleLoss(
                **sizes,
                centers_per_class=3,
                la=15,
                gamma=0.2,
                margin=0.05,
                weight_regularizer=spread(3),
                weight_reg_weight=0.3,
            ),
        ),
    }


@pytest.mark.parametrize(
    "name",
    [
        "arcface",
        "cosface",
        "subcenter",
        "normalised softmax",
        "proxy nca",
        "proxy anchor",
        "soft triple",
        "soft triple, regularised",
    ],
)
def test_agreement_with_pytorch_metric_learning(generator, name: str) -> None:
    ours, theirs = make_peers()[name]
    ours, theirs = ours.double(), theirs.double()
    (parameter,) = theirs.parameters()
    is_turned = parameter.shape[0] == N_FEATURES
    rows = ours.weight.detach().flatten(0, -2)
    parameter.data = (rows.T if is_turned else rows).clone()

    features, labels = make_batch(generator, torch.float64)
    loss, expected = ours(features, labels), theirs(features, labels)
    # they take a distance of 0 for about 3e-4
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if "regularised" in name else {}
    torch.testing.assert_close(loss, expected, **tolerance)
    grad_features, grad_weight = torch.autograd.grad(loss, (features, ours.weight))
    their_features, their_weight = torch.autograd.grad(expected, (features, parameter))
    torch.testing.assert_close(grad_features, their_features, **tolerance)
    their_weight = (their_weight.T if is_turned else their_weight).reshape(grad_weight.shape)
    torch.testing.assert_close(grad_weight, their_weight, **tolerance)

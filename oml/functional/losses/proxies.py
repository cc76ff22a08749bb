"""Losses that compare items with proxies: learnt vectors that stand for the labels."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from oml.errors import check
from oml.functional.distances import normalise
from oml.functional.losses.class_inputs import check_class_input
from oml.functional.losses.class_logits import (
    ClassBlock,
    ClassLogits,
    calc_block,
    calc_gradients,
    make_logits,
    split_classes,
)
from oml.functional.losses.classification import check_above_0
from oml.functional.losses.margin_softmax import ClassifierOutput, Head, margin_softmax
from oml.functional.losses.margins import add_cosine_margin
from oml.functional.losses.reduction import get_reduced


def proxy_nca_loss(
    features: Tensor, weight: Tensor, labels: Tensor, temperature: float = 1 / 9, reduction: str = "mean"
) -> Tensor:
    """
    Give the Proxy-NCA++ loss: cross entropy over `-distance ** 2 / temperature` of normalised items and proxies.

    Teh et al., "ProxyNCA++: Revisiting and Revitalizing Proxy Neighborhood Component Analysis", 2020, equation 6:
    unlike in Proxy-NCA the item's own proxy is part of the sum. As `distance ** 2 = 2 - 2 * cos`, it is
    `normalised_softmax_loss` with half the temperature. In pytorch-metric-learning it is ProxyNCALoss with
    `softmax_scale=1 / temperature`.

    Args:
        features: Features (B, D), not normalised.
        weight: Proxies (C, D), not normalised.
        labels: Labels (B,), integers in [0, C).
        temperature: What the squared distances are divided by, above 0.
        reduction: "mean", "sum" or "none".

    Raises:
        InvalidInputError: options out of their range, or tensors that do not fit each other.

    Example:
        >>> proxy_nca_loss(torch.eye(2), torch.eye(2), torch.tensor([0, 1]), temperature=1.0)
        tensor(0.1269)

    """
    check_above_0("temperature", temperature)
    return get_reduced(margin_softmax(features, weight, labels, Head(2 / temperature)).losses, reduction)


def soft_triple_loss(
    features: Tensor,
    weight: Tensor,
    labels: Tensor,
    margin: float = 0.01,
    scale: float = 20.0,
    gamma: float = 0.1,
    tau: float = 0.2,
    reduction: str = "mean",
) -> Tensor:
    """
    Give the SoftTriple loss: cross entropy over similarities with K centres of each class, and their regulariser.

    The similarity with a class is the mean of the cosines with its centres, weighted by their softmax; from that with
    the item's own class the margin is taken off. Qian et al., "SoftTriple Loss: Deep Metric Learning Without Triplet
    Sampling", 2019, equations 8 to 11. With `tau=0` it is pytorch-metric-learning's SoftTripleLoss.

    Args:
        features: Features (B, D), not normalised.
        weight: Centres (C, K, D), not normalised.
        labels: Labels (B,), integers in [0, C).
        margin: What is taken off the similarity with the own class, in [0, 2).
        scale: What similarities are multiplied by, lambda in the paper, above 0.
        gamma: The temperature of the softmax over the centres of a class, above 0.
        tau: The weight of `calc_spread_of_centres`, at least 0; it is added to the reduced loss.
        reduction: "mean", "sum" or "none".

    Raises:
        InvalidInputError: options out of their range, or tensors that do not fit each other.

    Example:
        >>> soft_triple_loss(torch.eye(2), torch.eye(2)[:, None], torch.tensor([0, 1]), margin=0.0, scale=1.0)
        tensor(0.3133)

    """
    check(weight.ndim == 3, f"weight must be (C, K, D), K centres for each class, got {tuple(weight.shape)}.")
    head = make_soft_triple_head(margin, scale, gamma, tau, weight.shape[1])
    return reduce_soft_triple(margin_softmax(features, weight.flatten(0, 1), labels, head), tau, reduction)


def reduce_soft_triple(output: ClassifierOutput, tau: float, reduction: str) -> Tensor:
    """Give the reduced loss with the regulariser, if the head of `make_soft_triple_head` has one."""
    loss = get_reduced(output.losses, reduction)
    return loss if output.products is None else loss + tau * calc_spread_of_centres(output.products)


def make_soft_triple_head(margin: float, scale: float, gamma: float, tau: float, n_centres: int) -> Head:
    """Give what `soft_triple_loss` makes of cosines, with its errors."""
    check(0 <= margin < 2, f"The margin is taken off a cosine, so it must be in [0, 2), got {margin}.")
    check_above_0("scale", scale)
    check_above_0("gamma", gamma)
    check(tau >= 0, f"tau must be at least 0, got {tau}.")
    check(n_centres >= 1, f"There must be at least 1 centre for each class, got {n_centres}.")
    pool = partial(take_softly, temperature=gamma * scale)
    # one centre alone has no spread
    return Head(scale, partial(add_cosine_margin, margin=margin), pool, n_centres, tau > 0 and n_centres > 1)


def take_softly(logits: Tensor, temperature: float) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """
    Give the mean of a class's centres' logits (n, K, B), weighted by their softmax, (n, B), and what spreads slopes.

    Example:
        >>> take_softly(torch.tensor([[[2.0], [2.0]]]), temperature=1.0)[0]
        tensor([[2.]])

    """
    shares = torch.div(logits, temperature).softmax(dim=1)
    mean = torch.linalg.vecdot(shares, logits, dim=1)

    def spread_slopes(slopes: Tensor) -> Tensor:
        # slopes * shares * (1 + (logits - mean) / temperature), with as little as possible done for each centre
        factors = slopes / temperature
        rest = torch.addcmul(slopes, factors, mean, value=-1)
        return torch.addcmul(rest[:, None], logits, factors[:, None]).mul_(shares)

    return mean, spread_slopes


def calc_spread_of_centres(products: Tensor) -> Tensor:
    """
    Give half the mean distance of two normalised centres of one class, from the products (C, K, K) of the centres.

    SoftTriple (Qian et al. 2019), equation 10, with the factor of equation 11: few different centres are wanted. It is
    half of the mean, as the paper divides by C * K * (K - 1) what is summed over C * K * (K - 1) / 2 pairs. The
    gradient of a distance of 0 is 0.

    Example:
        >>> calc_spread_of_centres(torch.tensor([[[1.0, -2.0], [-2.0, 4.0]]]))
        tensor(1.)

    """
    n_classes, n_centres, _ = products.shape
    squares = products.diagonal(dim1=1, dim2=2)
    lengths = torch.where(squares > 0, squares, 1).sqrt()
    gaps = 2 - 2 * products / (lengths[:, :, None] * lengths[:, None])
    is_apart = (gaps > 0) & ~torch.eye(n_centres, dtype=torch.bool, device=products.device)
    distances = torch.where(is_apart, gaps, 1).sqrt() * is_apart
    return distances.sum() / (2 * n_classes * max(1, n_centres * (n_centres - 1)))


def proxy_anchor_loss(
    features: Tensor, weight: Tensor, labels: Tensor, margin: float = 0.1, alpha: float = 32.0
) -> Tensor:
    """
    Give the Proxy-Anchor loss: proxies pull all the items of their label, push all others, the hardest ones most.

    Kim et al., "Proxy Anchor Loss for Deep Metric Learning", 2020, equation 4: the mean over the proxies with items in
    the batch of `log(1 + sum(exp(-alpha * (cos - margin))))` over their items, plus the mean over all proxies of
    `log(1 + sum(exp(alpha * (cos + margin))))` over the items of other labels. It belongs to proxies, not to items, so
    there is no reduction. The loss of no items is 0. It can be differentiated once.

    Args:
        features: Features (B, D), not normalised.
        weight: Proxies (C, D), not normalised.
        labels: Labels (B,), integers in [0, C).
        margin: The margin of the cosines, delta in the paper, in [0, 2).
        alpha: What the cosines are multiplied by, above 0.

    Raises:
        InvalidInputError: options out of their range, or tensors that do not fit each other.

    Example:
        >>> proxy_anchor_loss(torch.eye(2), torch.eye(2), torch.tensor([0, 1]), margin=0.0, alpha=1.0)
        tensor(1.0064)

    """
    return proxy_anchor(features, weight, labels, margin, alpha).losses


def proxy_anchor(features: Tensor, weight: Tensor, labels: Tensor, margin: float, alpha: float) -> ClassifierOutput:
    """Give `proxy_anchor_loss`, as `losses` without dimensions, and the rest of `ClassifierOutput`."""
    check(0 <= margin < 2, f"The margin is added to a cosine, so it must be in [0, 2), got {margin}.")
    check_above_0("alpha", alpha)
    check_class_input(features, weight, labels, len(weight))
    dtype = torch.promote_types(torch.promote_types(features.dtype, weight.dtype), torch.float32)
    keep = torch.is_grad_enabled() and (features.requires_grad or weight.requires_grad)
    directions = normalise(features.to(dtype))
    return ClassifierOutput(*_ProxyAnchor.apply(directions, weight, labels.long(), margin, alpha, keep))


class _ProxyAnchor(torch.autograd.Function):
    """See `proxy_anchor_loss`. A proxy's sum over negatives is a row of a block of logits."""

    @staticmethod
    def forward(
        ctx: Any, directions: Tensor, weight: Tensor, labels: Tensor, margin: float, alpha: float, keep: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        made = make_logits(directions, weight, labels, alpha, 1, keep)
        turned = directions.T.contiguous()
        sums = directions.new_empty(len(weight))  # log(1 + sum of the negatives)
        shift = alpha * margin

        own = directions.new_zeros(len(labels))
        largest = torch.full_like(own, -torch.inf)
        with torch.autocast(weight.device.type, enabled=False):
            for block in split_classes(made):
                logits = calc_block(made, block, turned)
                here = logits.gather(0, block.places)
                own = torch.where(block.is_here, here[0], own)
                block.put_(logits, -torch.inf, here)
                largest = torch.maximum(largest, logits.amax(dim=0))
                sums[block.classes] = softplus(logits.logsumexp(dim=1) + shift)
                logits.scatter_(0, block.places, here)
        same = labels[:, None] == labels
        # each item holds the term of its proxy, so it counts 1 / n times
        positives = torch.where(same, shift - own, -torch.inf).logsumexp(dim=1)
        counts = same.sum(dim=1).to(own.dtype)
        n_present = counts.reciprocal().sum().clamp_min(1)
        loss = (softplus(positives) / counts).sum() / n_present
        loss = loss + sums.mean()
        # what the positives' terms are by the logits of the items: - exp(shift - own) / (1 + sum)
        own_slopes = -(shift - own - softplus(positives)).exp() / n_present
        ctx.save_for_backward(made.logits, made.factors, directions, weight, labels, sums, own_slopes)
        ctx.alpha, ctx.shift = alpha, shift
        is_correct = own >= largest
        ctx.mark_non_differentiable(own, is_correct)
        return loss, own, is_correct

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        logits, factors, directions, weight, labels, sums, own_slopes = ctx.saved_tensors
        made = ClassLogits(logits, factors, directions, weight, labels, ctx.alpha, 1)

        def calc_slopes(block: ClassBlock, room: Tensor) -> Tensor:
            slopes = torch.sub(logits[block.rows], sums[block.classes, None] - ctx.shift, out=room).exp_()
            slopes /= len(sums)
            block.put_(slopes, own_slopes)
            slopes *= grad_loss
            return slopes

        gradients = calc_gradients(made, calc_slopes, ctx.needs_input_grad[:2])
        return (*gradients, None, None, None, None)

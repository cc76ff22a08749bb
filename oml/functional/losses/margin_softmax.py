"""
Cross entropy over cosines, with a margin at the class of the item, in one pass over the classes.

The forward pass makes the logits block by block, with the maximum and the sum of exponentials of each item kept up to
date. The backward pass makes gradients of a block just before its two matrix products.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from oml.functional.distances import normalise
from oml.functional.label_smoothing import SmoothTargets, make_smooth_targets
from oml.functional.losses.class_inputs import check_class_input
from oml.functional.losses.class_logits import (
    ClassBlock,
    ClassLogits,
    calc_block,
    calc_gradients,
    calc_products,
    make_logits,
    make_room,
    split_centres,
    split_classes,
)
from oml.functional.losses.margins import TMargin

# logits up to this size, of either sign, are exponentiated as they are: sums over 1e8 classes stay within float32
LARGEST_PLAIN = 70.0
# logits of the centres (n, K, B) -> those of the classes (n, B), and what makes gradients of those (n, K, B) of
# gradients of these (n, B)
TPool = Callable[[Tensor], tuple[Tensor, Callable[[Tensor], Tensor]]]


class Head(NamedTuple):
    """
    How cosines become logits: `pool(scale * cosines)`, and then the margin, at the item's own class only.

    Args:
        scale: What the cosines are multiplied by, above 0.
        margin: What becomes of the logit of the own class, divided by the scale; None for no margin.
        pool: Makes one logit of those of the K centres of a class, not beyond them; None for K = 1.
        n_centres: K.
        gives_products: Whether the products of the centres are wanted, for a regulariser.

    """

    scale: float
    margin: TMargin | None = None
    pool: TPool | None = None
    n_centres: int = 1
    gives_products: bool = False


class ClassifierOutput(NamedTuple):
    """
    What a classifier says of B items.

    `losses` (B,) have a graph. `own_logits` (B,) are those of the items' own classes, without margin;
    `is_correct` (B,) tells whether no other class is more similar. `products` (C, K, K) are those of the centres of
    each class, with a graph, if the head gives them.
    """

    losses: Tensor
    own_logits: Tensor
    is_correct: Tensor
    products: Tensor | None = None


def margin_softmax(
    features: Tensor,
    weight: Tensor,
    labels: Tensor,
    head: Head,
    epsilon: float = 0.0,
    categories: Tensor | None = None,
) -> ClassifierOutput:
    """
    Give the cross entropy of each item over the logits of all classes, in float32 at least, also inside autocast.

    The loss can be differentiated once. On a device other than the processor nothing waits for the device.

    Args:
        features: Features (B, D), not normalised.
        weight: Vectors of the classes (C, D), not normalised; with K centres (C * K, D).
        labels: Labels (B,), integers in [0, C).
        head: How cosines become logits.
        epsilon: Label smoothing, see `label_smoothing`; only without `head.pool`.
        categories: The categories of the labels (C,) for it.

    Raises:
        InvalidInputError: shapes, types, devices or labels that do not fit, or epsilon is out of its range.

    Example:
        >>> output = margin_softmax(torch.eye(2), torch.eye(2), torch.tensor([0, 1]), Head(scale=1.0))
        >>> output.losses, output.is_correct
        (tensor([0.3133, 0.3133]), tensor([True, True]))

    """
    n_classes = len(weight) // head.n_centres
    check_class_input(features, weight, labels, n_classes)
    dtype = torch.promote_types(torch.promote_types(features.dtype, weight.dtype), torch.float32)
    smooth = make_smooth_targets(labels, n_classes, epsilon, categories, dtype) if epsilon else None
    directions = normalise(features.to(dtype))
    keep = torch.is_grad_enabled() and (features.requires_grad or weight.requires_grad)
    return ClassifierOutput(*_MarginSoftmax.apply(directions, weight, labels.long(), head, smooth, keep))


class _RunningLogSum:
    """Maximum and logarithm of the sum of exponentials over blocks of logits, for each of B items."""

    def __init__(self, like: Tensor, bound: float) -> None:
        self.maximum = torch.full_like(like, torch.finfo(like.dtype).min)  # finite: -inf - -inf is NaN
        self.total = torch.zeros_like(like)
        self.is_shifted = bound > LARGEST_PLAIN

    def add(self, logits: Tensor, room: Tensor) -> None:
        """Add logits (n, B), with room for as many numbers."""
        maximum = torch.maximum(self.maximum, logits.amax(dim=0))
        if self.is_shifted:
            self.total *= (self.maximum - maximum).exp()
            self.total += torch.sub(logits, maximum, out=room).exp_().sum(dim=0)
        else:
            self.total += torch.exp(logits, out=room).sum(dim=0)
        self.maximum = maximum

    def get(self) -> Tensor:
        return self.total.log() + self.maximum if self.is_shifted else self.total.log()


def _look_at_classes(
    made: ClassLogits, head: Head, smooth: SmoothTargets | None, products: Tensor | None
) -> tuple[Tensor, ...]:
    """
    Fill the logits, and the products of the centres (C, K, K); give, for each item (B,), what the loss needs.

    It is the logit of its own class, maximum and log-sum-exp of the other logits, and the sum of all the logits
    weighted by the shares of label smoothing.
    """
    turned = made.directions.T.contiguous()  # products with it are faster than with a view
    own = alike = turned.new_zeros(turned.shape[1])
    others, room = _RunningLogSum(own, head.scale), make_room(made)
    with torch.autocast(turned.device.type, enabled=False):
        for block in split_classes(made):
            logits = calc_block(made, block, turned)
            if products is not None:
                products[block.classes] = calc_products(made, block)
            if head.pool is not None:
                logits, _ = head.pool(split_centres(logits, head.n_centres))
            if smooth is not None:
                alike = alike + (smooth.get_shares(block.classes) * logits).sum(dim=0)
            here = logits.gather(0, block.places)
            own = torch.where(block.is_here, here[0], own)
            block.put_(logits, -torch.inf, here)
            others.add(logits, room[: len(logits)])
            logits.scatter_(0, block.places, here)
    return own, others.maximum, others.get(), alike


class _MarginSoftmax(torch.autograd.Function):
    """
    See `margin_softmax`.

    With t the logit of the own class and s the log-sum-exp of the others, the loss is softplus(s - t), its derivative
    by t is -sigmoid(s - t), by another logit z it is exp(z - logaddexp(s, t)).
    """

    @staticmethod
    def forward(
        ctx: Any,
        directions: Tensor,
        weight: Tensor,
        labels: Tensor,
        head: Head,
        smooth: SmoothTargets | None,
        keep: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        made = make_logits(directions, weight, labels, head.scale, head.n_centres, keep)
        shape = (len(weight) // head.n_centres, head.n_centres, head.n_centres)
        products = directions.new_empty(shape) if head.gives_products else None
        own, maximum, others, alike = _look_at_classes(made, head, smooth, products)
        target, slopes = own, torch.ones_like(own)
        if head.margin is not None:
            target, slopes = head.margin(own / head.scale)
            target = target * head.scale
        losses = softplus(others - target)
        own_slopes = -torch.sigmoid(others - target)
        if smooth is not None:
            # epsilon of the target is given for the shares in all logits, among them the own one, with its margin
            losses = losses + smooth.epsilon * target - (alike + smooth.shares * (target - own))
            own_slopes = own_slopes + smooth.epsilon - smooth.shares
        is_correct = own >= maximum
        ctx.save_for_backward(
            made.logits, made.factors, directions, weight, labels, torch.logaddexp(others, target), own_slopes * slopes
        )
        ctx.head, ctx.smooth = head, smooth
        ctx.mark_non_differentiable(own, is_correct)
        return losses, own, is_correct, products

    @staticmethod
    def backward(
        ctx: Any, grad_losses: Tensor, _own: Tensor, _is_correct: Tensor, grad_products: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        logits, factors, directions, weight, labels, log_sum, own_slopes = ctx.saved_tensors
        head, smooth = ctx.head, ctx.smooth
        made = ClassLogits(logits, factors, directions, weight, labels, head.scale, head.n_centres)
        is_shifted = head.scale > LARGEST_PLAIN
        factors_of_exp = grad_losses if is_shifted else grad_losses * (-log_sum).exp()

        def calc_slopes(block: ClassBlock, room: Tensor) -> Tensor:
            block_logits = made.logits[block.rows]
            if head.pool is not None:
                block_logits, spread_slopes = head.pool(split_centres(block_logits, head.n_centres))
            slopes = room[: len(block_logits)]
            if is_shifted:
                torch.sub(block_logits, log_sum, out=slopes).exp_()
            else:
                torch.exp(block_logits, out=slopes)
            slopes *= factors_of_exp
            if smooth is not None:
                slopes -= smooth.get_shares(block.classes) * grad_losses
            block.put_(slopes, own_slopes * grad_losses)
            if head.pool is not None:
                slopes = spread_slopes(slopes).flatten(0, 1)
            return slopes

        gradients = calc_gradients(made, calc_slopes, ctx.needs_input_grad[:2], grad_products)
        return (*gradients, None, None, None, None)

"""Losses of pairs from two towers, such as images and texts: row i of one belongs to row i of the other."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from oml.errors import check
from oml.functional.distances import at_least_float32
from oml.functional.losses.anchors import logsumexp_where


def info_nce_loss(
    similarities: Tensor, scale: Tensor | float, symmetric: bool = True, ignored: Tensor | None = None
) -> Tensor:
    """
    Give the cross-entropy of finding the partner among all of the other side: (B,), row i for the pair i.

    `-log(e^(g s_ii) / sum over j of e^(g s_ij))`, g the scale; symmetric, the mean of this and of the same with i and j
    exchanged. "Representation learning with contrastive predictive coding" (van den Oord et al. 2018), equation 4;
    symmetric, "Learning transferable visual models from natural language supervision" (Radford et al. 2021), figure 3.
    With one pair it is 0. Memory is O(B^2). Half precision is computed in float32.

    Args:
        similarities: (B, B), of rows of the first side to rows of the second one.
        scale: 1 / temperature, a number or a tensor without dimensions.
        symmetric: Look in both directions, or only for the partners of the first side.
        ignored: Pairs that are not true negatives, bool (B, B); the diagonal is never ignored.

    Raises:
        InvalidInputError: the similarities are not square, or `ignored` is not of their shape.

    Example:
        >>> info_nce_loss(torch.zeros(2, 2), scale=1.0)  # log(2)
        tensor([0.6931, 0.6931])

    """
    _check_square(similarities, ignored)
    logits = at_least_float32(similarities) * scale
    if ignored is not None:
        taken = ~ignored | torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    else:
        taken = torch.ones_like(logits, dtype=torch.bool)
    own = logits.diagonal()
    losses = logsumexp_where(logits, taken) - own
    if symmetric:
        losses = (losses + logsumexp_where(logits.T, taken.T) - own) / 2
    return losses


def sigmoid_loss(
    similarities: Tensor, scale: Tensor | float, bias: Tensor | float, ignored: Tensor | None = None
) -> Tensor:
    """
    Give the sum over j of `-log sigmoid(z_ij (g s_ij + b))`: (B,); z is 1 for the pair (i, i) and -1 for all others.

    "Sigmoid loss for language image pre-training" (Zhai et al. 2023), section 3.2, g the scale and b the bias; the mean
    over i is the loss of the paper. Memory is O(B^2). Half precision is computed in float32.

    Args:
        similarities: (B, B), of rows of the first side to rows of the second one.
        scale: A number or a tensor without dimensions.
        bias: A number or a tensor without dimensions.
        ignored: Pairs that are not true negatives, bool (B, B); the diagonal is never ignored.

    Raises:
        InvalidInputError: the similarities are not square, or `ignored` is not of their shape.

    Example:
        >>> sigmoid_loss(torch.zeros(2, 2), scale=10.0, bias=0.0)  # 2 * log(2)
        tensor([1.3863, 1.3863])

    """
    _check_square(similarities, ignored)
    logits = at_least_float32(similarities) * scale + bias
    is_pair = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    terms = -logsigmoid(torch.where(is_pair, logits, -logits))
    if ignored is not None:
        terms = terms.masked_fill(ignored & ~is_pair, 0)
    return terms.sum(dim=1)


def _check_square(similarities: Tensor, ignored: Tensor | None) -> None:
    check(
        similarities.ndim == 2 and similarities.shape[0] == similarities.shape[1],
        f"similarities must be square, a row and a column for each pair, got the shape {tuple(similarities.shape)}.",
    )
    check(
        ignored is None or (ignored.shape == similarities.shape and ignored.dtype == torch.bool),
        "ignored must be bool and of the shape of the similarities, "
        f"{tuple(similarities.shape)}, got {None if ignored is None else (tuple(ignored.shape), ignored.dtype)}.",
    )

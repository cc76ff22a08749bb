"""Batches of tokens: what a text extractor takes, and how the vectors of a text's tokens become one."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from oml.errors import InvalidInputError, check

POOLINGS = ("cls", "mean", "last_token")


class Tokens(NamedTuple):
    """
    A batch of texts whose tokens come first and whose padding comes last.

    Args:
        ids: (B, L), integers.
        mask: (B, L), 1 for a token and 0 for padding.

    """

    ids: Tensor
    mask: Tensor


def read_tokens(batch: Any, owner: str) -> Tokens:
    """
    Take the tokens out of what a tokenizer gives, and put padding behind them, wherever it was.

    So positions, which models count from the left, do not depend on padding. What is padding for all texts is cut off,
    except while the model is compiled or exported, because the cut depends on values.

    Args:
        batch: A mapping with `input_ids` (B, L) and `attention_mask` (B, L); without the mask all are tokens.
        owner: The name of the model, for the message.

    Raises:
        InvalidInputError: the batch is no such mapping, or shapes differ.

    Example:
        >>> ids, mask = torch.tensor([[0, 0, 5], [0, 7, 8]]), torch.tensor([[0, 0, 1], [0, 1, 1]])
        >>> read_tokens({"input_ids": ids, "attention_mask": mask}, "the model")
        Tokens(ids=tensor([[5, 0], [7, 8]]), mask=tensor([[1, 0], [1, 1]]))

    """
    if not isinstance(batch, Mapping) or "input_ids" not in batch:
        got = f"keys {sorted(batch)}" if isinstance(batch, Mapping) else type(batch).__name__
        raise InvalidInputError(
            f"{owner} takes what a tokenizer gives, a mapping with `input_ids` and `attention_mask`, got {got}. Use a "
            f"dataset of texts, or tokenizer(texts, padding=True, truncation=True, return_tensors='pt')."
        )
    ids = batch["input_ids"]
    mask = batch.get("attention_mask")
    check(
        isinstance(ids, Tensor) and ids.ndim == 2,
        f"`input_ids` must be a tensor (B, L), got {_describe(ids)}. Give the tokenizer a list of texts, with "
        f"return_tensors='pt'.",
    )
    mask = torch.ones_like(ids) if mask is None else mask
    check(
        isinstance(mask, Tensor) and mask.shape == ids.shape,
        f"`attention_mask` must be a tensor of the shape of `input_ids`, {tuple(ids.shape)}, got {_describe(mask)}.",
    )
    return _cut(_shift(Tokens(ids, mask)))


def _shift(tokens: Tokens) -> Tokens:
    """Move what stands before the first token of a text behind its last one."""
    length = tokens.mask.shape[1]
    n_before = (tokens.mask.cumsum(dim=1) == 0).sum(dim=1, keepdim=True)
    places = torch.arange(length, device=tokens.mask.device) + n_before
    places = torch.where(places < length, places, places - length)  # exporters do not know the remainder by a length
    return Tokens(tokens.ids.gather(1, places), tokens.mask.gather(1, places))


def _cut(tokens: Tokens) -> Tokens:
    if torch.compiler.is_compiling() or tokens.mask.numel() == 0:
        return tokens
    columns = tokens.mask.any(dim=0).nonzero()
    longest = int(columns[-1]) + 1 if len(columns) else 1
    return Tokens(tokens.ids[:, :longest], tokens.mask[:, :longest])


def pool_tokens(states: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """
    Make one vector of the vectors of a text's tokens; zero for a text without a token.

    Args:
        states: What a model gives for each token, (B, L, D).
        mask: As in `Tokens`: (B, L), with padding behind the tokens.
        pooling: One of `POOLINGS`: the first token, the mean over all, the last token.

    Example:
        >>> states = torch.tensor([[[1.0], [3.0], [9.0]]])
        >>> [pool_tokens(states, torch.tensor([[1, 1, 0]]), pooling).item() for pooling in POOLINGS]
        [1.0, 2.0, 3.0]

    """
    is_token = mask.bool()
    if pooling == "cls":
        pooled = states[:, 0]
    elif pooling == "mean":
        # divided first, so that sums of half precision stay small
        weights = is_token / is_token.sum(dim=1, keepdim=True).clamp(min=1)
        pooled = torch.einsum("bl,bld->bd", weights.to(states.dtype), states)
    else:
        last = (is_token * torch.arange(mask.shape[1], device=mask.device)).amax(dim=1)
        pooled = states.gather(1, last[:, None, None].expand(-1, -1, states.shape[2]))[:, 0]
    return pooled.masked_fill(~is_token.any(dim=1, keepdim=True), 0)


def _describe(value: Any) -> str:
    return f"the shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__

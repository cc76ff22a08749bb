"""Losses of two towers by loops, from the definitions."""

import torch
from torch import Tensor


def calc_cosines_by_loop(a: Tensor, b: Tensor) -> Tensor:
    return torch.stack([torch.stack([x @ y / (x.norm() * y.norm()) for y in b]) for x in a])


def calc_info_nce_by_loop(cosines: Tensor, temperature: float, symmetric: bool, labels: list | None) -> Tensor:
    losses = []
    for i in range(len(cosines)):
        others = [j for j in range(len(cosines)) if j == i or labels is None or labels[i] != labels[j]]
        loss = -torch.log(torch.softmax(cosines[i, others] / temperature, dim=0)[others.index(i)])
        if symmetric:
            loss = (loss - torch.log(torch.softmax(cosines[others, i] / temperature, dim=0)[others.index(i)])) / 2
        losses.append(loss)
    return torch.stack(losses)


def calc_sigmoid_loss_by_loop(cosines: Tensor, temperature: float, bias: float, labels: list | None) -> Tensor:
    losses = []
    for i in range(len(cosines)):
        total = torch.zeros((), dtype=cosines.dtype)
        for j in range(len(cosines)):
            if i == j or labels is None or labels[i] != labels[j]:
                sign = 1 if i == j else -1
                total = total - torch.log(torch.special.expit(sign * (cosines[i, j] / temperature + bias)))
        losses.append(total)
    return torch.stack(losses)

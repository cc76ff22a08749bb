"""Vectors that are hard to search among: ties, cancellation, overflow, underflow."""

import torch


def make_vectors(kind, n, dim, generator):
    x = torch.randn(n, dim, generator=generator)
    if kind == "integers":  # many equal distances
        return x.round()
    if kind == "collapsed":
        return torch.zeros(n, dim) + 0.3
    if kind == "far_from_origin":  # distances far below the rounding of the product
        return 100 + x * 1e-3
    if kind == "tiny":  # squares underflow in float32
        return x * 1e-30
    if kind == "huge":  # squares overflow in float32
        return x * 1e25
    if kind == "one_hot":
        return torch.nn.functional.one_hot(torch.randint(0, dim, (n,), generator=generator), dim).float()
    if kind == "outlier":
        x[0] = 1e4
        return x
    if kind == "duplicates":
        return x[torch.randint(0, max(1, n // 8), (n,), generator=generator)]
    return x


KINDS = ["random", "integers", "collapsed", "far_from_origin", "tiny", "huge", "one_hot", "outlier", "duplicates"]

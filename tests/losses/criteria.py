"""Every criterion once, as tests need them: features of 8 numbers, labels from 0 to 5."""

import torch

from oml.losses import SurrogatePrecision, TripletLossWithMiner
from oml.miners import AllTripletsMiner, HardTripletsMiner


def seeded(make):
    """Make the criterion with the same proxies each time."""

    def make_seeded():
        torch.manual_seed(2)
        return make()

    return make_seeded


# name: (constructor, whether it takes labels rather than a second set of features)
CRITERIA = {
    "triplet_all": (lambda: TripletLossWithMiner(margin=0.5, miner=AllTripletsMiner()), True),
    "triplet_soft": (lambda: TripletLossWithMiner(margin=None, miner=AllTripletsMiner()), True),
    "triplet_hard": (lambda: TripletLossWithMiner(margin=0.5, miner=HardTripletsMiner()), True),
    "surrogate_precision": (lambda: SurrogatePrecision(k=3), True),
}

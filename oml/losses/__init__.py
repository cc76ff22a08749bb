from oml.losses.pair_loss import CosinePairLoss, DistancePairLoss, PairLoss
from oml.losses.surrogate_precision import SurrogatePrecision
from oml.losses.triplet import TripletLoss, TripletLossPlain, TripletLossWithMiner

__all__ = [
    "CosinePairLoss",
    "DistancePairLoss",
    "PairLoss",
    "SurrogatePrecision",
    "TripletLoss",
    "TripletLossPlain",
    "TripletLossWithMiner",
]

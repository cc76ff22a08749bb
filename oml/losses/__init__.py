from oml.losses.contrastive import ContrastiveLoss, LiftedStructureLoss, SemiHardTripletLoss
from oml.losses.pair_loss import CosinePairLoss, DistancePairLoss, PairLoss
from oml.losses.ranking import FastAPLoss, RecallAtKLoss, SmoothAPLoss
from oml.losses.softmax_pairs import CircleLoss, MultiSimilarityLoss, NTXentLoss, SupConLoss
from oml.losses.surrogate_precision import SurrogatePrecision
from oml.losses.triplet import TripletLoss, TripletLossPlain, TripletLossWithMiner
from oml.losses.two_towers import InfoNCE, SigLIPLoss

__all__ = [
    "CircleLoss",
    "ContrastiveLoss",
    "CosinePairLoss",
    "DistancePairLoss",
    "FastAPLoss",
    "InfoNCE",
    "LiftedStructureLoss",
    "MultiSimilarityLoss",
    "NTXentLoss",
    "PairLoss",
    "RecallAtKLoss",
    "SemiHardTripletLoss",
    "SigLIPLoss",
    "SmoothAPLoss",
    "SupConLoss",
    "SurrogatePrecision",
    "TripletLoss",
    "TripletLossPlain",
    "TripletLossWithMiner",
]

from oml.losses.cached_gradients import CachedGradients
from oml.losses.contrastive import ContrastiveLoss, LiftedStructureLoss, SemiHardTripletLoss
from oml.losses.gather_across_devices import GatherAcrossDevices
from oml.losses.matryoshka import MatryoshkaLoss
from oml.losses.monitor import TrainingMonitor
from oml.losses.pair_loss import CosinePairLoss, DistancePairLoss, PairLoss
from oml.losses.ranking import FastAPLoss, RecallAtKLoss, SmoothAPLoss
from oml.losses.softmax_pairs import CircleLoss, MultiSimilarityLoss, NTXentLoss, SupConLoss
from oml.losses.surrogate_precision import SurrogatePrecision
from oml.losses.triplet import TripletLoss, TripletLossPlain, TripletLossWithMiner
from oml.losses.two_towers import InfoNCE, SigLIPLoss

__all__ = [
    "CachedGradients",
    "CircleLoss",
    "ContrastiveLoss",
    "CosinePairLoss",
    "DistancePairLoss",
    "FastAPLoss",
    "GatherAcrossDevices",
    "InfoNCE",
    "LiftedStructureLoss",
    "MatryoshkaLoss",
    "MultiSimilarityLoss",
    "NTXentLoss",
    "PairLoss",
    "RecallAtKLoss",
    "SemiHardTripletLoss",
    "SigLIPLoss",
    "SmoothAPLoss",
    "SupConLoss",
    "SurrogatePrecision",
    "TrainingMonitor",
    "TripletLoss",
    "TripletLossPlain",
    "TripletLossWithMiner",
]

from oml.losses.arcface import ArcFaceLoss, ArcFaceLossWithMLP
from oml.losses.cached_gradients import CachedGradients
from oml.losses.class_loss import ClassLoss
from oml.losses.classification import CosFaceLoss, NormalisedSoftmaxLoss, SubCenterArcFaceLoss
from oml.losses.contrastive import ContrastiveLoss, LiftedStructureLoss, SemiHardTripletLoss
from oml.losses.cross_batch_memory import CrossBatchMemory
from oml.losses.gather_across_devices import GatherAcrossDevices
from oml.losses.matryoshka import MatryoshkaLoss
from oml.losses.monitor import TrainingMonitor
from oml.losses.pair_loss import CosinePairLoss, DistancePairLoss, PairLoss
from oml.losses.proxies import ProxyAnchorLoss, ProxyNCALoss, SoftTripleLoss
from oml.losses.ranking import FastAPLoss, RecallAtKLoss, SmoothAPLoss
from oml.losses.softmax_pairs import CircleLoss, MultiSimilarityLoss, NTXentLoss, SupConLoss
from oml.losses.surrogate_precision import SurrogatePrecision
from oml.losses.triplet import TripletLoss, TripletLossPlain, TripletLossWithMiner
from oml.losses.two_towers import InfoNCE, SigLIPLoss

__all__ = [
    "ArcFaceLoss",
    "ArcFaceLossWithMLP",
    "CachedGradients",
    "CircleLoss",
    "ClassLoss",
    "ContrastiveLoss",
    "CosFaceLoss",
    "CosinePairLoss",
    "CrossBatchMemory",
    "DistancePairLoss",
    "FastAPLoss",
    "GatherAcrossDevices",
    "InfoNCE",
    "LiftedStructureLoss",
    "MatryoshkaLoss",
    "MultiSimilarityLoss",
    "NTXentLoss",
    "NormalisedSoftmaxLoss",
    "PairLoss",
    "ProxyAnchorLoss",
    "ProxyNCALoss",
    "RecallAtKLoss",
    "SemiHardTripletLoss",
    "SigLIPLoss",
    "SmoothAPLoss",
    "SoftTripleLoss",
    "SubCenterArcFaceLoss",
    "SupConLoss",
    "SurrogatePrecision",
    "TrainingMonitor",
    "TripletLoss",
    "TripletLossPlain",
    "TripletLossWithMiner",
]

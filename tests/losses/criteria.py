"""Every criterion once, as tests need them: features of 8 numbers, labels from 0 to 5."""

import torch

from oml import losses, miners


def seeded(make):
    """Make the criterion with the same proxies each time."""

    def make_seeded():
        torch.manual_seed(2)
        return make()

    return make_seeded


def with_miner(miner, margin=0.5):
    return losses.TripletLossWithMiner(margin=margin, miner=miner)


# name: (constructor, whether it takes labels rather than a second set of features)
CRITERIA = {
    "triplet_all": (lambda: with_miner(miners.AllTripletsMiner()), True),
    "triplet_soft": (lambda: with_miner(miners.AllTripletsMiner(), None), True),
    "triplet_hard": (lambda: with_miner(miners.HardTripletsMiner()), True),
    "triplet_n_hard": (lambda: with_miner(miners.NHardTripletsMiner(n_positive=2, n_negative=3)), True),
    "triplet_hard_cluster": (lambda: with_miner(miners.HardClusterMiner()), True),
    "triplet_bank": (lambda: with_miner(miners.MinerWithBank(bank_size_in_batches=2)), True),
    "triplet_memory": (lambda: with_miner(miners.TripletMinerWithMemory(bank_size_in_batches=2, tri_expand_k=2)), True),
    "surrogate_precision": (lambda: losses.SurrogatePrecision(k=3), True),
    "contrastive": (losses.ContrastiveLoss, True),
    "semi_hard_triplet": (lambda: losses.SemiHardTripletLoss(margin=1.0), True),
    "lifted_structure": (losses.LiftedStructureLoss, True),
    "nt_xent": (losses.NTXentLoss, True),
    "sup_con": (losses.SupConLoss, True),
    "multi_similarity": (losses.MultiSimilarityLoss, True),
    "circle": (losses.CircleLoss, True),
    "smooth_ap": (lambda: losses.SmoothAPLoss(temperature=0.1), True),
    "recall_at_k": (lambda: losses.RecallAtKLoss(ks=(1, 2), rank_temperature=0.1), True),
    "fast_ap": (losses.FastAPLoss, True),
    "cross_batch_memory": (lambda: losses.CrossBatchMemory(losses.MultiSimilarityLoss(), size=8), True),
    "matryoshka": (lambda: losses.MatryoshkaLoss(losses.MultiSimilarityLoss(), dims=[8, 4]), True),
    "arcface": (seeded(lambda: losses.ArcFaceLoss(8, 6)), True),
    "arcface_smooth": (
        seeded(lambda: losses.ArcFaceLoss(8, 6, smoothing_epsilon=0.1, label2category={i: i % 2 for i in range(6)})),
        True,
    ),
    "mlp_arcface": (seeded(lambda: losses.ArcFaceLossWithMLP(8, 6, mlp_features=[5])), True),
    "cosface": (seeded(lambda: losses.CosFaceLoss(8, 6)), True),
    "subcenter_arcface": (seeded(lambda: losses.SubCenterArcFaceLoss(8, 6)), True),
    "normalised_softmax": (seeded(lambda: losses.NormalisedSoftmaxLoss(8, 6)), True),
    "proxy_nca": (seeded(lambda: losses.ProxyNCALoss(8, 6)), True),
    "proxy_anchor": (seeded(lambda: losses.ProxyAnchorLoss(8, 6)), True),
    "soft_triple": (seeded(lambda: losses.SoftTripleLoss(8, 6)), True),
    "info_nce": (losses.InfoNCE, False),
    "siglip": (losses.SigLIPLoss, False),
}

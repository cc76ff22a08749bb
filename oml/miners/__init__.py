from oml.miners.cross_batch import TripletMinerWithMemory
from oml.miners.feature_bank import FeatureBank
from oml.miners.inbatch_all_tri import AllTripletsMiner, get_available_triplets
from oml.miners.inbatch_hard_cluster import HardClusterMiner
from oml.miners.inbatch_hard_tri import HardTripletsMiner
from oml.miners.inbatch_nhard_tri import NHardTripletsMiner
from oml.miners.miner_with_bank import MinerWithBank
from oml.miners.pairs import PairsMiner

__all__ = [
    "AllTripletsMiner",
    "FeatureBank",
    "HardClusterMiner",
    "HardTripletsMiner",
    "MinerWithBank",
    "NHardTripletsMiner",
    "PairsMiner",
    "TripletMinerWithMemory",
    "get_available_triplets",
]

from oml.miners.inbatch_all_tri import AllTripletsMiner, get_available_triplets
from oml.miners.inbatch_hard_tri import HardTripletsMiner

__all__ = ["AllTripletsMiner", "HardTripletsMiner", "get_available_triplets"]

from oml.losses.triplet import TripletLoss, TripletLossPlain, TripletLossWithMiner

__all__ = ["TripletLoss", "TripletLossPlain", "TripletLossWithMiner"]

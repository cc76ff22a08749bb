from oml.samplers.balance import BalanceSampler

__all__ = ["BalanceSampler"]

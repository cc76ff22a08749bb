"""Miners by name."""

from typing import Any

from oml.const import TCfg
from oml.interfaces.miners import ITripletsMiner
from oml.registry.registry import Registry

MINERS_REGISTRY = Registry(
    "miner",
    {
        "all_triplets": "oml.miners.inbatch_all_tri:AllTripletsMiner",
        "hard_cluster": "oml.miners.inbatch_hard_cluster:HardClusterMiner",
        "hard_triplets": "oml.miners.inbatch_hard_tri:HardTripletsMiner",
        "miner_with_bank": "oml.miners.miner_with_bank:MinerWithBank",
        "n_hard_triplets": "oml.miners.inbatch_nhard_tri:NHardTripletsMiner",
        "triplets_with_memory": "oml.miners.cross_batch:TripletMinerWithMemory",
    },
)
MINERS_REGISTRY.nested["miner"] = MINERS_REGISTRY


def get_miner(name: str, **kwargs: Any) -> ITripletsMiner:
    """
    Build a miner by its name in `MINERS_REGISTRY`.

    Raises:
        KeyError: the name is unknown; the message names the nearest ones.
        TypeError: the miner does not take an argument, or lacks one.

    Example:
        >>> type(get_miner("n_hard_triplets", n_positive=2)).__name__
        'NHardTripletsMiner'

    """
    miner: ITripletsMiner = MINERS_REGISTRY.build(name, **kwargs)
    return miner


def get_miner_by_cfg(cfg: TCfg) -> ITripletsMiner:
    """
    Build the miner that a config `{"name": ..., "args": {...}}` describes; `miner` among its args may be a config.

    Raises:
        InvalidInputError: the config has other keys.
        KeyError: the name is unknown; the message names the nearest ones.
        TypeError: the miner does not take an argument, or lacks one.

    """
    miner: ITripletsMiner = MINERS_REGISTRY.build_by_cfg(cfg)
    return miner

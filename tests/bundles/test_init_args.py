"""Every extractor that can be named in a config can be put into a bundle."""

import inspect

import pytest
import torch
import yaml

from oml.const import CONFIGS_PATH
from oml.registry.models import EXTRACTORS_REGISTRY, get_extractor_by_cfg

# made from models of other libraries, which have tests of their own
NAMES = sorted(set(EXTRACTORS_REGISTRY) - {"hf", "sentence_transformer"})


@pytest.mark.parametrize("name", NAMES)
def test_arguments_can_be_read_back(name):
    config = yaml.safe_load((CONFIGS_PATH / "extractor" / f"{name}.yaml").read_text())
    with torch.device("meta"):  # without memory and time for weights
        extractor = get_extractor_by_cfg(config)
    args = extractor.get_init_args()
    taken = [p.name for p in inspect.signature(type(extractor)).parameters.values() if p.kind is not p.VAR_KEYWORD]
    assert {*args, "weights"} == {*taken, "weights"}
    told = {key: value for key, value in config["args"].items() if key not in ("weights", "extractor")}
    assert {key: args[key] for key in told} == told

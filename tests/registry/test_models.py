import pytest
import torch
from torch import nn

from oml.errors import InvalidInputError
from oml.models import ConcatSiamese, ConvExtractor, ExtractorWithMLP, TimmExtractor
from oml.registry.models import (
    EXTRACTORS_REGISTRY,
    PAIRWISE_MODELS_REGISTRY,
    get_extractor,
    get_extractor_by_cfg,
    get_pairwise_model,
    get_pairwise_model_by_cfg,
    raise_if_needed,
)

CONV = {"name": "conv", "args": {"im_size": 16, "channels": [4, 8], "feat_dim": 6}}


def test_documented_names():
    assert {"resnet", "vit", "extractor_with_mlp"} <= set(EXTRACTORS_REGISTRY)
    assert set(PAIRWISE_MODELS_REGISTRY) == {"linear_siamese", "concat_siamese", "trivial_distance_siamese"}


def test_extractors_within_extractors():
    cfg = {"name": "extractor_with_mlp", "args": {"extractor": CONV, "mlp_features": [7, 5]}}
    extractor = get_extractor_by_cfg({"name": "extractor_with_mlp", "args": {"extractor": cfg, "mlp_features": [3]}})
    assert isinstance(extractor, ExtractorWithMLP)
    assert isinstance(extractor.extractor.extractor, ConvExtractor)
    assert extractor(torch.zeros(2, 3, 16, 16)).shape == (2, 3)
    ready = ConvExtractor(im_size=16)
    assert get_extractor("extractor_with_mlp", extractor=ready, mlp_features=[3]).extractor is ready


def test_names_of_models_are_no_names_of_arguments():
    assert isinstance(get_extractor("timm", name="test_vit"), TimmExtractor)


def test_pairwise_models():
    model = get_pairwise_model_by_cfg({"name": "concat_siamese", "args": {"extractor": CONV, "mlp_hidden_dims": [4]}})
    assert isinstance(model, ConcatSiamese)
    x1, x2 = torch.ones(1, 4), torch.zeros(1, 4)
    assert get_pairwise_model("linear_siamese", feat_dim=4, identity_init=True).predict(x1, x2).item() == 2


def test_weights_inside_and_outside(tmp_path):
    path = tmp_path / "whole.pth"
    whole = get_extractor("extractor_with_mlp", extractor=CONV, mlp_features=[5])
    torch.save(whole.state_dict(), path)
    torch.save({"model.a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.warns(
        UserWarning, match=r"inside of 'extractor_with_mlp' has no weights of its own: it gets them from"
    ):
        loaded = get_extractor("extractor_with_mlp", extractor=CONV, mlp_features=[5], weights=path)
    assert torch.equal(loaded.extractor.projection.weight, whole.extractor.projection.weight)
    timm = {"name": "timm", "args": {"name": "test_vit", "weights": "inner.pth"}}
    message = (
        r"'concat_siamese' has weights='outer.pth', and .* has weights='inner.pth': .*Set weights of the extractor"
    )
    for build in (
        lambda args: get_pairwise_model("concat_siamese", **args),
        lambda args: get_pairwise_model_by_cfg({"name": "concat_siamese", "args": args}),
    ):
        with pytest.raises(InvalidInputError, match=message):
            build({"extractor": timm, "weights": "outer.pth"})


def test_raise_if_needed(recwarn):
    raise_if_needed({"name": "vit", "args": {"weights": "vits16_dino"}}, {"weights": None}, "model")
    raise_if_needed({"name": "vit", "args": {"weights": "vits16_dino"}}, {}, "model")
    raise_if_needed({"name": "vit"}, {"weights": None}, "model")
    raise_if_needed({"name": "vit", "args": None}, {}, "model")
    assert not recwarn
    with pytest.warns(UserWarning, match="inside of 'model' has no weights"):
        raise_if_needed({"name": "vit"}, {"weights": "whole.pth"}, "model")


def test_own_models_can_be_added():
    class Mine(nn.Module):
        def __init__(self, size: int = 3):
            super().__init__()
            self.size = size

    EXTRACTORS_REGISTRY["mine"] = Mine
    try:
        assert get_extractor_by_cfg({"name": "mine", "args": {"size": 4}}).size == 4
        model = get_pairwise_model("trivial_distance_siamese", extractor={"name": "mine"})
        assert isinstance(model.extractor, Mine)
    finally:
        del EXTRACTORS_REGISTRY["mine"]


def test_unknown_names_and_arguments():
    with pytest.raises(KeyError, match=r"Unknown extractor 'resnets'\. Did you mean 'resnet'"):
        get_extractor("resnets")
    with pytest.raises(KeyError, match=r"Unknown extractor 'con'\. Did you mean 'conv'"):
        get_pairwise_model("trivial_distance_siamese", extractor={"name": "con"})
    with pytest.raises(KeyError, match=r"Unknown pairwise model 'concat_siames'\. Did you mean 'concat_siamese'"):
        get_pairwise_model_by_cfg({"name": "concat_siames"})
    with pytest.raises(TypeError, match=r"The extractor 'vit' has no argument 'arc'\. Did you mean 'arch'"):
        get_extractor_by_cfg({"name": "vit", "args": {"arc": "vits16"}})

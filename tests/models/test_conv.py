import pytest
import torch

from oml.models import ConvExtractor


@pytest.mark.parametrize("batch_size", [0, 1, 3])
@pytest.mark.parametrize("normalise_features", [True, False])
def test_output(batch_size, normalise_features):
    torch.manual_seed(0)
    extractor = ConvExtractor(
        im_size=16, in_channels=1, channels=(4, 6), feat_dim=7, normalise_features=normalise_features
    )
    features = extractor.eval()(torch.rand(batch_size, 1, 16, 16))
    assert features.shape == (batch_size, extractor.feat_dim)
    has_unit_norm = torch.allclose(features.norm(dim=1), torch.ones(batch_size))
    assert has_unit_norm == (normalise_features or batch_size == 0)


def test_the_state_reloads_to_equal_outputs():
    first, second = ConvExtractor().eval(), ConvExtractor().eval()
    x = torch.rand(2, 3, 32, 32)
    assert not torch.equal(first(x), second(x))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(x), second(x))


def test_one_stage_has_no_pooling():
    assert ConvExtractor(im_size=5, channels=(2,)).projection.in_features == 2 * 5 * 5


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"im_size": 30}, "im_size must be divisible by 8.*got 30"),
        ({"im_size": 0}, "im_size must be divisible by 8.*got 0"),
        ({"channels": ()}, "at least one stage"),
    ],
)
def test_errors_at_construction(arguments, text):
    with pytest.raises(ValueError, match=text):
        ConvExtractor(**arguments)


def test_error_on_another_size():
    with pytest.raises(ValueError, match=r"32 x 32 pixels.*\(2, 3, 28, 32\)"):
        ConvExtractor()(torch.rand(2, 3, 28, 32))

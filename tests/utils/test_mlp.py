import pytest
import torch
from torch import nn
from torchvision.ops import MLP

from oml.errors import InvalidInputError
from oml.utils.mlp import make_mlp


@pytest.mark.parametrize("widths", [[5], [7, 5], [7, 6, 5]])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid])
def test_it_is_that_of_torchvision(widths, activation):
    theirs = MLP(4, widths, activation_layer=activation, dropout=0.5, inplace=None).eval()
    ours = make_mlp(4, widths, activation, dropout=0.5).eval()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(3, 4)
    torch.testing.assert_close(ours(x), theirs(x))


def test_the_last_layer_has_no_dropout_and_may_have_no_bias():
    mlp = make_mlp(4, [8, 8, 2], dropout=0.5, last_bias=False)
    assert [type(layer).__name__ for layer in mlp] == [
        "Linear",
        "ReLU",
        "Dropout",
        "Linear",
        "ReLU",
        "Dropout",
        "Linear",
    ]
    assert [layer.bias is not None for layer in mlp if isinstance(layer, nn.Linear)] == [True, True, False]
    assert mlp[2].p == 0.5


@pytest.mark.parametrize(("n_in", "widths"), [(4, []), (4, [3, 0]), (0, [3])])
def test_errors(n_in, widths):
    with pytest.raises(InvalidInputError, match=r"at least one layer, and each at least one feature, got \d features"):
        make_mlp(n_in, widths)

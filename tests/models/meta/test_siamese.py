import pytest
import torch
from torch import nn

from oml.errors import InvalidInputError
from oml.inference import pairwise_inference
from oml.models import ConcatSiamese, ConvExtractor, LinearTrivialDistanceSiamese, TrivialDistanceSiamese
from oml.models.vit_dino.extractor import ViTExtractor
from tests.inference.datasets import make_dataset


class Tall(ConvExtractor):
    """Takes pictures of any height."""

    def __init__(self):
        super().__init__(im_size=8, channels=(4,), feat_dim=6)
        self.pool = nn.AdaptiveAvgPool2d(8)

    def forward(self, x):
        return super().forward(self.pool(x))


@pytest.fixture
def pairs(generator):
    return torch.rand(5, 3, 8, 8, generator=generator), torch.rand(5, 3, 8, 8, generator=generator)


class TestLinearTrivialDistanceSiamese:
    def test_identity(self, generator):
        x1, x2 = torch.randn(2, 5, 4, generator=generator)
        model = LinearTrivialDistanceSiamese(4, identity_init=True, output_bias=3)
        expected = torch.tensor([sum((a - b) ** 2) ** 0.5 for a, b in zip(x1, x2, strict=True)])
        torch.testing.assert_close(model(x1, x2), expected + 3)
        torch.testing.assert_close(model.predict(x1, x2), expected + 3)

    def test_one_projection_without_bias_for_both(self, generator):
        x1, x2 = torch.randn(2, 5, 4, generator=generator)
        model = LinearTrivialDistanceSiamese(4, identity_init=False)
        assert {name: list(value.shape) for name, value in model.state_dict().items()} == {"proj.weight": [4, 4]}
        expected = (x1 @ model.proj.weight.T - x2 @ model.proj.weight.T).norm(dim=1)
        torch.testing.assert_close(model(x1, x2), expected)
        assert not torch.equal(model.proj.weight, torch.eye(4))

    def test_pairs_of_a_dataset(self):
        dataset, pair_ids = make_dataset(6), [(0, 5), (3, 3), (4, 1)]
        model = LinearTrivialDistanceSiamese(3, identity_init=True)
        distances = pairwise_inference(model, dataset, pair_ids, batch_size=2, verbose=False)
        expected = torch.stack([(dataset.inputs[i] - dataset.inputs[j]).norm() for i, j in pair_ids])
        torch.testing.assert_close(distances, expected)


class TestTrivialDistanceSiamese:
    def test_it_is_the_distance_of_the_embeddings(self, backbone, images):
        model = TrivialDistanceSiamese(backbone, output_bias=-0.5).eval()
        x1, x2 = images, images.flip(0)
        expected = (backbone(x1) - backbone(x2)).norm(dim=1) - 0.5
        torch.testing.assert_close(model.predict(x1, x2), expected)
        torch.testing.assert_close(model(x1, x2), expected)
        assert (model.predict(x1, x1) == -0.5).all()


class TestConcatSiamese:
    def test_pictures_are_one_above_the_other(self, pairs):
        model = ConcatSiamese(Tall(), [20, 7]).eval()
        heights = []
        model.extractor.register_forward_pre_hook(lambda _module, inputs: heights.append(inputs[0].shape))
        features = model.extractor(torch.cat(pairs, dim=2))
        first, second, third = [layer for layer in model.head if isinstance(layer, nn.Linear)]
        assert third.bias is None
        assert [layer.p for layer in model.head if isinstance(layer, nn.Dropout)] == [0.5, 0.5]
        expected = third(second(first(features).sigmoid()).sigmoid())[:, 0]
        torch.testing.assert_close(model(*pairs), expected)
        torch.testing.assert_close(model.predict(*pairs), expected.sigmoid())
        assert heights[-1] == (5, 3, 16, 8)

    def test_use_tta(self, pairs):
        model = ConcatSiamese(Tall(), [20], use_tta=True).eval()
        one, other = model(*pairs).sigmoid(), model(*reversed(pairs)).sigmoid()
        assert not torch.allclose(one, other)
        torch.testing.assert_close(model.predict(*pairs), (one + other) / 2)

    def test_freeze(self, pairs):
        model = ConcatSiamese(Tall(), [20])
        for train_backbone in (True, False, True):
            (model.unfreeze if train_backbone else model.freeze)()
            model.zero_grad()
            model(*pairs).sum().backward()
            has_gradients = {p.grad is not None for p in model.extractor.parameters()}
            assert has_gradients == {train_backbone}
            assert all(p.grad is not None for p in model.head.parameters())

    @pytest.mark.parametrize("prefix", ["", "model.", "module.model."])
    def test_reload_gives_identical_outputs(self, pairs, prefix, tmp_path):
        model = ConcatSiamese(Tall(), [20]).eval()
        state = {f"{prefix}{name}": value for name, value in model.state_dict().items()}
        torch.save({"state_dict": state}, tmp_path / "own.ckpt")
        loaded = ConcatSiamese(Tall(), [20], weights=tmp_path / "own.ckpt").eval()
        assert torch.equal(loaded.predict(*pairs), model.predict(*pairs))

    def test_defaults(self):
        with torch.device("meta"):
            model = ConcatSiamese()
        assert isinstance(model.extractor, ViTExtractor)
        assert [layer.out_features for layer in model.head if isinstance(layer, nn.Linear)] == [192, 1]

    @pytest.mark.parametrize("shapes", [((2, 3, 8, 8), (2, 3, 8, 9)), ((3, 8, 8), (3, 8, 8))])
    def test_errors(self, shapes):
        with pytest.raises(InvalidInputError, match=r"two batches of pictures \(B, C, H, W\) of one shape, got"):
            ConcatSiamese(Tall(), [20])(*map(torch.zeros, shapes))

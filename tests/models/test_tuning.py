import copy
import warnings
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from oml.errors import InvalidInputError
from oml.interfaces.models import IExtractor
from oml.models import (
    ConvExtractor,
    ECAPATDNNExtractor,
    ExtractorWithMLP,
    HFWrapper,
    ResnetExtractor,
    SentenceTransformerExtractor,
    TimmExtractor,
    TwoTowerExtractor,
    ViTCLIPExtractor,
    ViTExtractor,
    ViTUnicomExtractor,
)
from oml.models.audio.ecapa_tdnn.network import EcapaTdnn
from oml.models.tuning import (
    AdaptedExtractor,
    LinearAdapter,
    add_lora,
    get_layer_decay_groups,
    get_lora_state_dict,
    merge_lora,
    set_gradient_checkpointing,
)
from oml.models.tuning.blocks import find_backbones, find_blocks
from oml.models.vit_clip.network import ClipVisionTransformer
from oml.models.vit_dino.network import DinoVisionTransformer
from oml.models.vit_unicom.network import UnicomVisionTransformer


def make_bert(add_pooling_layer: bool = True) -> nn.Module:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=20,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return BertModel(config, add_pooling_layer=add_pooling_layer)


class SentenceTransformer(nn.Sequential):
    """What one of sentence-transformers looks like from outside: modules in a row, the first with a model in it."""

    def __init__(self) -> None:
        super().__init__()
        self.add_module("0", nn.ModuleDict({"auto_model": make_bert()}))
        self.add_module("1", nn.Linear(16, 4))

    def gradient_checkpointing_enable(self, options: dict | None = None) -> None:
        pytest.fail("the model within has its own")

    def get_embedding_dimension(self) -> int:
        return 4

    def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        states = self[0]["auto_model"](**x)["last_hidden_state"]
        return {"sentence_embedding": self[1](states.mean(dim=1))}


class BertExtractor(IExtractor):
    """As a wrapper of a user around a model of transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.model = make_bert(add_pooling_layer=False)

    @property
    def feat_dim(self) -> int:
        return 16

    def forward(self, x: Tensor) -> Tensor:
        return self.model(input_ids=x)["last_hidden_state"][:, 0]


def make_tiny_vit() -> nn.Module:
    return DinoVisionTransformer(True, 0.1, img_size=8, patch_size=4, embed_dim=16, depth=2, num_heads=2)


def make_clip() -> nn.Module:
    return ClipVisionTransformer(img_size=8, patch_size=4, embed_dim=8, depth=2, num_heads=2, out_dim=5)


def make_unicom(using_checkpoint: bool) -> nn.Module:
    network = UnicomVisionTransformer(img_size=8, patch_size=4, embed_dim=8, depth=2, num_heads=2, out_dim=5)
    network.set_grad_checkpointing(using_checkpoint)
    return network


def make_vit() -> IExtractor:
    return ViTExtractor(None, "tiny")


def make_projector() -> nn.Module:
    network = resnet18(num_classes=5)
    network.fc = nn.Sequential(nn.Linear(512, 6), nn.ReLU(), nn.Linear(6, 5))
    return network


def make_ecapa() -> IExtractor:
    return ECAPATDNNExtractor(None, "tiny")


images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
tokens = {"input_ids": torch.arange(12).reshape(2, 6), "attention_mask": torch.ones(2, 6, dtype=torch.long)}
EXTRACTORS: dict[str, tuple[Callable[[], IExtractor], Any]] = {
    "vit": (make_vit, images),
    "timm": (lambda: TimmExtractor("test_vit", img_size=32, projection=8), images),
    "resnet": (lambda: ResnetExtractor(None, "resnet18", gem_p=3.0), images),
    "conv": (lambda: ConvExtractor(im_size=32, in_channels=3, channels=(4, 8), feat_dim=6), images),
    "ecapa": (make_ecapa, images.flatten(1)),
    "bert": (BertExtractor, torch.arange(12).reshape(2, 6)),
    "clip": (lambda: ViTCLIPExtractor(None, "tiny"), images[..., :8, :8]),
    "unicom": (lambda: ViTUnicomExtractor(None, "tiny", use_gradient_ckpt=False), images[..., :8, :8]),
    "projector": (lambda: ResnetExtractor(None, "tiny", remove_fc=False), images),
    "hf": (lambda: HFWrapper(make_bert(), pooling="mean"), tokens),
    "sentences": (lambda: SentenceTransformerExtractor(SentenceTransformer()), tokens),
    "with mlp": (lambda: ExtractorWithMLP(make_vit(), [6], train_backbone=True), images),
    "tower": (lambda: TwoTowerExtractor(HFWrapper(make_bert()), make_vit(), projection=4).query, tokens),
}


@pytest.fixture(autouse=True)
def tiny_archs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ViTExtractor, "constructors", {"tiny": make_tiny_vit})
    monkeypatch.setattr(ViTCLIPExtractor, "constructors", {"tiny": make_clip})
    monkeypatch.setattr(ViTUnicomExtractor, "constructors", {"tiny": make_unicom})
    monkeypatch.setattr(ResnetExtractor, "constructors", {**ResnetExtractor.constructors, "tiny": make_projector})
    monkeypatch.setattr(ECAPATDNNExtractor, "constructors", {"tiny": lambda: EcapaTdnn(n_channels=16, feat_dim=6)})


@pytest.fixture(params=list(EXTRACTORS))
def case(request: pytest.FixtureRequest) -> tuple[IExtractor, Tensor]:
    torch.manual_seed(0)
    make, batch = EXTRACTORS[request.param]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what transformers says when it is loaded first
        return make(), batch


def step(extractor: nn.Module, batch: Any) -> dict[str, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)  # for what is dropped
        embeddings = extractor.train()(batch)
    embeddings[:, 0].square().sum().backward()
    grads = {f"grad of {name}": p.grad for name, p in extractor.named_parameters() if p.grad is not None}
    return {"embeddings": embeddings, **grads, **extractor.state_dict()}


def test_checkpointing_changes_no_outputs_gradients_and_statistics(case: tuple[IExtractor, Tensor]) -> None:
    extractor, batch = case
    plain, undone = copy.deepcopy(extractor), copy.deepcopy(extractor)
    set_gradient_checkpointing(extractor)
    set_gradient_checkpointing(undone)
    set_gradient_checkpointing(undone, enable=False)
    assert extractor.state_dict().keys() == plain.state_dict().keys()
    copied = copy.deepcopy(extractor)
    expected = step(plain, batch)
    for other in (extractor, undone, copied):
        found = step(other, batch)
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, msg=lambda text, name=name: f"{name}: {text}")


def count_kept(extractor: nn.Module, batch: Tensor) -> int:
    """Give how many numbers a training step keeps for its backward pass, weights aside."""
    n_kept = 0

    def keep(x: Tensor) -> Tensor:
        nonlocal n_kept
        n_kept += 0 if isinstance(x, nn.Parameter) else x.numel()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        extractor.train()(batch)
    return n_kept


def test_checkpointing_keeps_less(case: tuple[IExtractor, Tensor]) -> None:
    extractor, batch = case
    kept = []
    for enable in (False, True):
        set_gradient_checkpointing(extractor, enable)
        kept.append(count_kept(extractor, batch))
    # What is behind the blocks of ECAPA-TDNN keeps most where they are as narrow as here.
    assert kept[1] < (0.98 if isinstance(extractor, ECAPATDNNExtractor) else 0.7) * kept[0]


def test_checkpointed_models_are_saved_whole() -> None:
    extractor = ResnetExtractor(None, "resnet18").eval()
    set_gradient_checkpointing(extractor)
    file = BytesIO()
    torch.save(extractor, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    assert loaded.model.layer1[0].forward.block is loaded.model.layer1[0]
    torch.testing.assert_close(loaded(images), extractor(images))


def test_what_cannot_be_checkpointed() -> None:
    with pytest.raises(InvalidInputError, match="Linear has no blocks to be checkpointed: it is a single Linear"):
        set_gradient_checkpointing(nn.Linear(2, 2))


def test_groups_have_every_parameter_once(case: tuple[IExtractor, Tensor]) -> None:
    extractor, _ = case
    next(extractor.parameters()).requires_grad_(False)
    groups = get_layer_decay_groups(extractor, lr=0.1, decay=0.5, weight_decay=0.01)
    grouped = [id(p) for group in groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in extractor.parameters())
    rates = sorted({group["lr"] for group in groups}, reverse=True)
    assert rates == pytest.approx([0.1 * 0.5**i for i in range(len(rates))])
    for group in groups:
        assert {p.ndim > 1 for p in group["params"]} == {group["weight_decay"] == 0.01}
    torch.optim.AdamW(groups).step()


def get_rate(extractor: nn.Module, name: str) -> float:
    groups = get_layer_decay_groups(extractor, lr=1.0, decay=0.5)
    parameter = extractor.get_parameter(name)
    return next(group["lr"] for group in groups for p in group["params"] if p is parameter)


def test_rates_are_the_formula() -> None:
    vit = make_vit()  # stem, 2 blocks, and the norm with the second
    names = ["model.pos_embed", "model.blocks.0.mlp.fc1.bias", "model.blocks.1.attn.qkv.weight", "model.norm.bias"]
    assert [get_rate(vit, name) for name in names] == [1 / 4, 1 / 2, 1, 1]
    resnet = ResnetExtractor(None, "resnet18", remove_fc=False)  # stem, 8 blocks, fc
    names = ["model.bn1.weight", "model.layer1.0.conv1.weight", "model.layer4.1.conv2.weight", "model.fc.bias"]
    assert [get_rate(resnet, name) for name in names] == [2**-9, 2**-8, 2**-1, 1]
    bert = BertExtractor()  # embeddings, 3 layers; nothing follows
    names = ["model.embeddings.LayerNorm.bias", "model.encoder.layer.0.output.dense.bias"]
    names += ["model.encoder.layer.2.output.dense.bias"]
    assert [get_rate(bert, name) for name in names] == [2**-3, 2**-2, 1]
    timm = TimmExtractor("test_vit", img_size=32, projection=8)
    assert get_rate(timm, "projection.weight") == get_rate(timm, "model.norm.weight") == 1
    conv = ConvExtractor(channels=(4, 8))  # no blocks: each layer is one
    assert [get_rate(conv, f"backbone.{i}.weight") for i in (0, 1, 4)] == [2**-3, 2**-2, 2**-1]
    assert get_rate(conv, "projection.bias") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr": -1.0}, "lr must not be negative, got -1"),
        ({"decay": 0.0}, r"decay must lie in \(0, 1\].*got 0"),
        ({"decay": 1.5}, r"decay must lie in \(0, 1\].*got 1\.5"),
        ({"weight_decay": -0.1}, r"weight_decay must not be negative, got -0\.1"),
    ],
)
def test_bad_layer_decay(arguments: dict, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        get_layer_decay_groups(nn.Linear(2, 2), **{"lr": 1.0, **arguments})


def test_lora_trains_alone_and_merges(case: tuple[IExtractor, Tensor], tmp_path: Path) -> None:
    extractor, batch = case
    names = list(extractor.state_dict())
    other = copy.deepcopy(extractor)
    before = extractor.eval()(batch)
    for one in (extractor, other):
        add_lora(one, rank=2)
    torch.testing.assert_close(extractor(batch), before)
    trained = {name for name, p in extractor.named_parameters() if p.requires_grad}
    assert trained == set(get_lora_state_dict(extractor))
    frozen = {n: p.clone() for n, p in extractor.named_parameters() if n not in trained}

    optimizer = torch.optim.Adam(extractor.parameters(), lr=0.01)
    for _ in range(2):
        extractor(batch)[:, 0].sum().backward()
        optimizer.step()
    assert all(torch.equal(p, extractor.get_parameter(name)) for name, p in frozen.items())
    tuned = extractor(batch).detach()
    assert not torch.allclose(tuned, before, atol=1e-3)

    torch.save(get_lora_state_dict(extractor), tmp_path / "lora.pth")
    other.load_state_dict(torch.load(tmp_path / "lora.pth"), strict=False)
    assert torch.equal(other.eval()(batch), tuned)

    merge_lora(extractor)
    assert list(extractor.state_dict()) == names
    torch.testing.assert_close(extractor(batch), tuned, atol=1e-4, rtol=1e-4)


def test_lora_reaches_what_holds_most_weights_and_gets_gradients(case: tuple[IExtractor, Any]) -> None:
    extractor, batch = case
    counts = Counter[type]()
    for layer in (layer for _, network in find_backbones(extractor) for layer in network.modules()):
        if isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            counts[nn.Linear if isinstance(layer, nn.Linear) else nn.Conv2d] += layer.weight.numel()
    add_lora(extractor, rank=2)
    found = {nn.Linear if isinstance(m.base_layer, nn.Linear) else nn.Conv2d for m in find_lora_layers(extractor)}
    assert max(counts, key=lambda kind: counts[kind]) in found
    extractor.train()(batch)[:, 0].sum().backward()
    assert [n for n, p in extractor.named_parameters() if p.requires_grad and p.grad is None] == []


def find_lora_layers(extractor: nn.Module) -> list[Any]:
    return [module for module in extractor.modules() if hasattr(module, "base_layer")]


def test_lora_and_convolutions_that_peft_cannot_do() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.Conv2d(8, 8, 3, dilation=2),
        nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(8, 8, 3, groups=8),
    )
    add_lora(network, rank=2)
    assert {name.split(".")[0] for name in get_lora_state_dict(network)} == {"0"}


@pytest.mark.parametrize(
    "make",
    [
        lambda: AdaptedExtractor(make_vit(), LinearAdapter(16)),
        lambda: ExtractorWithMLP(make_vit(), [6]),
        lambda: nn.ModuleDict({"both": ExtractorWithMLP(make_vit(), [6])}),
    ],
)
def test_lora_where_there_are_no_gradients(make: Callable[[], nn.Module]) -> None:
    with pytest.raises(
        InvalidInputError, match=r"calculates its extractor without gradients, so LoRA would learn noth"
    ):
        add_lora(make())


def test_lora_leaves_heads_alone() -> None:
    extractor = TimmExtractor("test_vit", img_size=32, projection=8)
    add_lora(extractor, rank=2, alpha=1, target_modules=["attn.qkv"], trained_modules=["projection"])
    trained = {n for n, p in extractor.named_parameters() if p.requires_grad}
    assert {name.split(".")[-1] for name in trained if name.startswith("projection.")} == {"weight", "bias"}
    assert all(".attn.qkv.lora_" in name for name in trained if not name.startswith("projection."))
    assert len(trained) == 2 + 2 * len(extractor.model.blocks)
    assert extractor.model.blocks[0].attn.qkv.scaling == {"default": 1 / 2}


def test_lora_reaches_each_of_several_networks() -> None:
    both = nn.ModuleDict({"query": make_vit(), "gallery": ConvExtractor(im_size=8, channels=(4,))})
    add_lora(both, rank=2)
    assert {name.split(".")[0] for name in get_lora_state_dict(both)} == {"query", "gallery"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 0}, "rank must be positive, got 0"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1\.0"),
        ({"target_modules": ["qvk"]}, r"No linear layer.*called qvk\. Its layers: model\.blocks\.0\.attn\.qkv"),
        ({"trained_modules": ["head"]}, "trained_modules must be parts of the extractor, these are not: head"),
    ],
)
def test_bad_lora(arguments: dict, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        add_lora(make_vit(), **arguments)


def test_lora_twice_and_never() -> None:
    extractor = make_vit()
    with pytest.raises(InvalidInputError, match="has no LoRA to be merged"):
        merge_lora(extractor)
    add_lora(extractor)
    with pytest.raises(InvalidInputError, match=r"has LoRA already\. Call merge_lora first"):
        add_lora(extractor)


def test_backbones_and_blocks() -> None:
    both = nn.ModuleDict({"query": make_vit(), "gallery": ResnetExtractor(None, "resnet18"), "head": nn.Linear(2, 2)})
    assert [path for path, _ in find_backbones(both)] == ["query.model", "gallery.model"]
    resnet = [name for name, _ in find_blocks(both["gallery"])]
    assert resnet == [f"model.layer{i}.{j}" for i in range(1, 5) for j in range(2)]
    assert [name for name, _ in find_blocks(make_ecapa())] == [f"model.layer{i}" for i in range(1, 4)]
    assert [name for name, _ in find_blocks(make_vit())] == ["model.blocks.0", "model.blocks.1"]


@pytest.mark.parametrize("normalise", [True, False])
def test_adapter_starts_as_the_identity(normalise: bool) -> None:
    embeddings = nn.functional.normalize(torch.randn(5, 4))
    torch.testing.assert_close(LinearAdapter(4, normalise_features=normalise)(embeddings), embeddings)
    smaller = LinearAdapter(4, 3, normalise_features=normalise)
    expected = nn.functional.normalize(embeddings[:, :3]) if normalise else embeddings[:, :3]
    torch.testing.assert_close(smaller(embeddings), expected)
    assert smaller.feat_dim == 3
    assert smaller(embeddings[:0]).shape == (0, 3)


def test_adapter_on_cached_embeddings_is_the_adapted_extractor(tmp_path: Path) -> None:
    extractor = TimmExtractor("test_vit", img_size=32)
    adapted = AdaptedExtractor(extractor, LinearAdapter(extractor.feat_dim, 8)).train()
    assert not extractor.training
    with torch.no_grad():
        cached = extractor(images)
    optimizer = torch.optim.SGD(adapted.adapter.parameters(), lr=0.1)
    before = adapted(images).detach()
    adapted.adapter(cached).square().sum().backward()
    optimizer.step()
    assert not torch.allclose(adapted(images), before)
    torch.testing.assert_close(adapted(images), cached @ adapted.adapter.weight.T)
    adapted(images).sum().backward()
    assert all(p.grad is None for p in extractor.parameters())

    torch.save({"state_dict": adapted.state_dict()}, tmp_path / "own.ckpt")
    other = AdaptedExtractor(TimmExtractor("test_vit", img_size=32), LinearAdapter(extractor.feat_dim, 8))
    other.load_state_dict(torch.load(tmp_path / "own.ckpt")["state_dict"])
    assert torch.equal(other.extract(images), adapted.extract(images))
    assert other.extract(images).shape == (4, other.feat_dim)


def test_adapters_keep_their_arguments() -> None:
    adapter = LinearAdapter(4, normalise_features=True)
    assert adapter.get_init_args() == {"in_dim": 4, "out_dim": 4, "normalise_features": True}
    extractor = ConvExtractor(im_size=8, channels=(4,), feat_dim=4)
    assert AdaptedExtractor(extractor, adapter).get_init_args() == {"extractor": extractor, "adapter": adapter}


def test_bad_adapters() -> None:
    with pytest.raises(InvalidInputError, match=r"out_dim must lie in 1\.\.4 \(in_dim\), got 5"):
        LinearAdapter(4, 5)
    with pytest.raises(InvalidInputError, match=r"takes embeddings \(B, 4\), got the shape \[2, 3\]"):
        LinearAdapter(4)(torch.zeros(2, 3))
    with pytest.raises(InvalidInputError, match="takes 4 features, but the extractor gives 6"):
        AdaptedExtractor(ConvExtractor(im_size=8, channels=(4,), feat_dim=6), LinearAdapter(4))

"""Architectures: shapes, stages and heads, against the libraries' own networks and the published counts."""

import ast
import math

import pytest
import torch
from scipy.fft import dctn
from torch import nn

from pipeline.detectors.backbones.base import Backbone, load_published
from pipeline.detectors.backbones.f3net import FLOOR, Decomposition, LocalStatistics, MixBlock
from pipeline.detectors.backbones.inception_resnet_v1 import OneLogit
from pipeline.detectors.backbones.registry import FAMILIES, build
from pipeline.work.errors import UserError
from tests.graph.test_graph import ROOT, closure

# name -> stage features at 128 px, D of the embedding, parameters with two classes
FACTS = {
    "mobilenet_v2": ([(24, 32), (32, 16), (96, 8), (320, 4)], 1280, 3_504_872 - 1281 * 998),
    "efficientnet_b0": ([(24, 32), (40, 16), (112, 8), (320, 4)], 1280, 5_288_548 - 1281 * 998),
    "resnet18": ([(64, 32), (128, 16), (256, 8), (512, 4)], 512, 11_689_512 - 513 * 998),
    "resnet34": ([(64, 32), (128, 16), (256, 8), (512, 4)], 512, 21_797_672 - 513 * 998),
    "resnet50": ([(256, 32), (512, 16), (1024, 8), (2048, 4)], 2048, 25_557_032 - 2049 * 998),
    "xception": ([(128, 31), (256, 16), (728, 8), (2048, 4)], 2048, 22_855_952 - 2049 * 998),
    "inception_resnet_v1": ([(192, 28), (256, 13), (896, 6), (1792, 2)], 512, 27_910_327 - 513 * 8630),
    "f3net": ([(256, 31), (512, 16), (1456, 8), (4096, 4)], 4096, None),
}
RECTIFIED = {"resnet18", "resnet34", "resnet50", "xception", "f3net"}


def test_facts_cover_every_backbone() -> None:
    assert FACTS.keys() == FAMILIES.keys() - {"toy"}  # of other tests of the same process


@pytest.mark.parametrize("name", FACTS)
def test_backbone(name: str) -> None:
    """One network of each kind, used for all that needs it: building one is what takes the time."""
    torch.manual_seed(0)
    sides, width, count = FACTS[name]
    model = build(name).train()
    images, labels = torch.randn(2, 3, 128, 128), torch.tensor([0, 1])
    features = model(images)

    assert [tuple(x.shape) for x in features.stages] == [(2, c, s, s) for c, s in sides]
    assert model.channels == tuple(c for c, _ in sides)
    assert features.embedding.shape == (2, width)
    assert features.logits.shape == (2, 2)
    assert all(bool((x >= 0).all()) for x in features.stages) == (name in RECTIFIED)
    if count is not None:
        assert sum(p.numel() for p in model.parameters()) == count
    check_stages_partition(model)

    nn.functional.cross_entropy(features.logits, labels).backward()
    gradients = {key: p.grad for key, p in model.named_parameters()}
    assert not [key for key, gradient in gradients.items() if gradient is None or not gradient.isfinite().all()]
    torch.optim.SGD(model.parameters(), lr=1e-3).step()
    with torch.no_grad():
        assert not torch.equal(model(images).logits, features.logits)


def check_stages_partition(model: Backbone) -> None:
    parts = [p for stage in model.stages() for module in stage for p in module.parameters()]
    parts += model.head.parameters()
    assert len(parts) == len({id(p) for p in parts})
    assert {id(p) for p in parts} == {id(p) for p in model.parameters()}


def test_stages_depend_on_their_own_and_earlier_modules() -> None:
    """What freeze_stages freezes: the feature of a stage moves with its modules, not with those of later ones."""
    model = build("mobilenet_v2").eval()
    images = torch.randn(1, 3, 64, 64)
    before = model(images).stages
    with torch.no_grad():
        for module in model.stages()[2]:
            for parameter in module.parameters():
                parameter.add_(0.05)
    moved = [not torch.equal(a, b) for a, b in zip(before, model(images).stages, strict=True)]
    assert moved == [False, False, True, True]


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_logits_are_torchvisions(name: str) -> None:
    from torchvision.models import get_model

    model = build(name, classes=7).eval()
    theirs = get_model(name, weights=None, num_classes=7).eval()
    state = {key.removeprefix("net."): value for key, value in model.state_dict().items()}
    theirs.load_state_dict(state)
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(model(images).logits, theirs(images))


def test_inception_resnet_v1_is_the_published_network() -> None:
    model = build("inception_resnet_v1", classes=8631)
    assert sum(p.numel() for p in model.parameters()) == 27_910_327
    published = {
        "conv2d_1a.conv.weight": (32, 3, 3, 3),
        "conv2d_4b.bn.running_var": (256,),
        "repeat_1.4.branch2.2.conv.weight": (32, 32, 3, 3),
        "mixed_6a.branch1.2.conv.weight": (256, 192, 3, 3),
        "repeat_2.9.branch1.1.conv.weight": (128, 128, 1, 7),
        "mixed_7a.branch2.1.bn.weight": (256,),
        "repeat_3.0.conv2d.bias": (1792,),
        "block8.branch1.2.conv.weight": (192, 192, 3, 1),
        "last_linear.weight": (512, 1792),
        "last_bn.running_mean": (512,),
        "logits.weight": (8631, 512),
    }
    state = model.state_dict()
    assert {key: tuple(state[key].shape) for key in published} == published
    with pytest.raises(UserError, match="75 px"):
        model(torch.zeros(1, 3, 64, 64))


def test_one_logit_is_a_sigmoid() -> None:
    head, x = OneLogit(5), torch.randn(4, 5)
    z = nn.functional.linear(x, head.weight, head.bias)[:, 0]
    torch.testing.assert_close(head(x).softmax(1)[:, 1], z.sigmoid())
    labels = torch.tensor([0, 1, 1, 0])
    loss = nn.functional.binary_cross_entropy_with_logits(z, labels.float())
    torch.testing.assert_close(nn.functional.cross_entropy(head(x), labels), loss)


def test_decomposition_bands_sum_to_the_image_and_are_scipys() -> None:
    fad = Decomposition()
    nn.init.zeros_(fad.bands.learnable)
    images = torch.rand(1, 3, 32, 32)
    bands = fad(images).unflatten(1, (3, 3))  # (1, band, colour, 32, 32)
    torch.testing.assert_close(bands.sum(1), images, atol=1e-5, rtol=0)
    spectrum = dctn(images[0, 0].numpy(), norm="ortho")
    low = torch.from_numpy(dctn(bands[0, 0, 0].detach().numpy(), norm="ortho"))
    edge = 32 * math.sqrt(2 / 16)
    kept = torch.tensor([[u + v < edge for v in range(32)] for u in range(32)])
    torch.testing.assert_close(low, torch.from_numpy(spectrum) * kept, atol=1e-5, rtol=0)


def test_local_statistics_are_band_energies_of_scipys_dct() -> None:
    lfs = LocalStatistics()
    nn.init.zeros_(lfs.bands.learnable)
    grey = torch.rand(1, 1, 40, 40)
    found = lfs(grey.expand(1, 3, 40, 40))
    assert found.shape == (1, 6, 19, 19)  # as many as a 3x3 convolution of stride 2 without padding
    row, column = 5, 7  # a window that lies within the image: the padding before it is 3 px
    window = grey[0, 0, 2 * row - 3 : 2 * row + 7, 2 * column - 3 : 2 * column + 7].numpy()
    power = abs(dctn(window, norm="ortho"))
    for band in range(6):
        inside = [(u, v) for u in range(10) for v in range(10) if band * 20 / 6 <= u + v < (band + 1) * 20 / 6]
        expected = math.log10(sum(power[u, v] for u, v in inside) + FLOOR)
        assert found[0, band, row, column].item() == pytest.approx(expected, abs=1e-4)


def test_mix_block_starts_apart_and_then_crosses() -> None:
    mix, fad = MixBlock(16).eval(), torch.randn(1, 16, 4, 4)
    lfs = torch.randn(1, 16, 4, 4, requires_grad=True)
    assert torch.equal(mix(fad, lfs)[0], fad)
    nn.init.ones_(mix.gates)
    mix(fad, lfs)[0].sum().backward()
    assert lfs.grad is not None
    assert lfs.grad.abs().sum() > 0


def test_load_published_leaves_the_head_and_refuses_others(tmp_path, monkeypatch) -> None:

    source, target = build("resnet18", classes=1000), build("resnet18")
    net = target.get_submodule("net")
    state = {k: v for k, v in source.get_submodule("net").state_dict().items() if "num_batches" not in k}
    torch.save(state, tmp_path / "weights.pth")
    monkeypatch.setattr("pipeline.fetching.weights.fetch", lambda name: tmp_path / "weights.pth")
    head = target.head.weight.clone()
    load_published(net, "resnet18", head="fc")
    assert torch.equal(target.stages()[3][0][0].conv1.weight, source.stages()[3][0][0].conv1.weight)
    assert torch.equal(target.head.weight, head)

    torch.save({k: v for k, v in state.items() if k != "layer1.0.conv1.weight"}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"layer1\.0\.conv1\.weight"):
        load_published(net, "resnet18", head="fc")


def test_missing_weights_are_explained(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ADD_CACHE", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nothing listens: the host cannot be reached
    monkeypatch.setattr("pipeline.fetching.transfer.BACK_OFF", 0)
    with pytest.raises(UserError) as error:
        build("inception_resnet_v1", pretrained=True)
    for part in ("20180402-114759-vggface2.pt", "https://github.com/", str(tmp_path), "model.pretrained: false"):
        assert part in str(error.value)


def test_unknown_backbone_names_the_known_ones() -> None:
    with pytest.raises(UserError, match="mobilenet_v2"):
        build("vgg16")


def test_the_light_backbone_does_not_wait_for_timm() -> None:
    """Seconds for a network that has no part of it: neither it nor what it imports asks for timm, the others do."""
    assert "timm" in outside("pipeline/detectors/backbones/xception.py")
    assert "timm" not in outside("pipeline/detectors/backbones/mobilenet.py")
    assert "timm" not in outside("pipeline/detectors/backbones/registry.py")


def outside(module: str) -> set[str]:
    """The libraries that a file and what it imports of ours import."""
    trees = [ast.parse((ROOT / file).read_text()) for file in closure(module)]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names}

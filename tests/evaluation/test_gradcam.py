"""Grad-CAM against its closed form under average pooling and a linear classifier, and the gallery drawn from it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.detectors import card as models
from pipeline.detectors.backbones.base import Backbone
from pipeline.detectors.backbones.features import Features
from pipeline.evaluation import gallery
from pipeline.evaluation.gradcam import grad_cam
from pipeline.params.schema import load
from pipeline.reporting.figures.crops import gallery as drawn
from tests.aids import report_fixture as made_up


class Toy(Backbone):
    """One convolution as every stage, average pooling, a linear classifier."""

    channels = (4, 4, 4, 4)

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 4, stride=4)
        self.classifier = nn.Linear(4, 2)

    @property
    def head(self) -> nn.Module:
        return self.classifier

    def stages(self) -> list[list[nn.Module]]:
        return [[self.convolution], [], [], []]

    def forward(self, images: Tensor) -> Features:
        stage = self.convolution(images).relu()
        embedding = stage.mean((2, 3))
        return Features((stage,) * 4, embedding, self.classifier(embedding))


@pytest.mark.parametrize("frozen", [False, True])
def test_grad_cam_is_the_class_activation_map_of_a_linear_classifier(frozen: bool) -> None:
    torch.manual_seed(0)
    model = Toy().requires_grad_(not frozen).train()
    images = torch.randn(3, 3, 16, 16)
    found = grad_cam(model, images)
    with torch.no_grad():  # CAM (Zhou et al. 2016): the classifier's own weights, no gradient
        channels = model(images).stages[-1]
        plain = torch.einsum("c,bchw->bhw", model.classifier.weight[1], channels).relu()
        large = nn.functional.interpolate(plain[:, None], (16, 16), mode="bilinear")[:, 0]
    assert found.shape == (3, 16, 16) and not found.requires_grad
    torch.testing.assert_close(found, large / large.amax((1, 2), keepdim=True))
    assert model.training and all(parameter.grad is None for parameter in model.parameters())


def test_nothing_that_speaks_for_the_class_is_a_map_of_zeros() -> None:
    model = Toy()
    nn.init.constant_(model.classifier.weight, -1.0)
    assert grad_cam(model, torch.randn(2, 3, 16, 16)).eq(0).all()


def test_gallery_leaves_the_tested_people_to_evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = load(made_up.write_params(tmp_path))
    made_up.write_shards(tmp_path / "shards", ["faceswap"], ["c23", "c40"])
    loaded = []

    def fake_load(folder: Path) -> tuple[Backbone, models.Card]:
        loaded.append(folder.relative_to(tmp_path).as_posix())
        buckets = {"train": ["b0"], "val": [], "test": ["b1", "b2"]}
        about = {"method": "x", "backbone": "x", "manipulation": "faceswap", "quality": "c40", "seed": 0, "fold": 0}
        return Toy().eval(), models.Card(**about, buckets=buckets, image_size=32, mean=0.5, std=0.5)

    monkeypatch.setattr(gallery, "load", fake_load)
    out = tmp_path / "faceswap-c40.npz"
    said = gallery.build(tmp_path, tmp_path / "shards", "faceswap", "c40", out, params)
    assert said.startswith("3 fakes through teacher, mobilenet_v2, add")
    assert loaded[1:] == ["baseline/mobilenet_v2-faceswap-c40-s0/fold0", "add/mobilenet_v2-faceswap-c40-s0/fold0"]
    with np.load(out) as saved:
        assert [key.split("-")[0] for key in saved["keys"]] == ["person_a", "person_d", "person_g"]  # the people of b0
        assert saved["maps"].shape == (3, 3, 32, 32) and saved["raw"].shape == (3, 32, 32, 3)
        assert (saved["raw"] != saved["compressed"]).any() and (saved["maps"].max() <= 1)
    assert drawn(out, "faceswap", "c40").write(tmp_path).exists()

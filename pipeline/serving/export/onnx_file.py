"""All folds' networks of a shipped detector as one ONNX file: images in, each network's probability of fake out."""

import contextlib
import io
import json
import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.serving.networks import BATCH, Crops, Onnx, Torch, normalised, windows
from pipeline.serving.shipped import Detector
from pipeline.work.errors import UserError

PARITY = 1e-4  # the most that a probability may differ from torch's, on real crops


class Ensemble(nn.Module):
    """Images (B, 3, S, S), normalised, to the probability of fake by each of K networks: (B, K)."""

    def __init__(self, models: list[nn.Module]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([model(images).logits.softmax(1)[:, 1] for model in self.models], 1)


def write(path: Path, folder: Path, detector: Detector, crops: Crops) -> float:
    """Write the file from the weights in `folder`; return the largest difference from torch on the crops.

    Its metadata say what an image must be and what the numbers mean. Raises: UserError where packages are missing or
    the file does not compute the same.
    """
    if missing := [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]:
        raise UserError(f"{missing[0]} is not installed: run `make setup`, or set export.onnx to false")
    import onnx

    networks = Torch(folder, detector)
    images = torch.from_numpy(normalised(windows(crops, detector.preparation)))
    ensemble = Ensemble([model.cpu().to(memory_format=torch.contiguous_format) for model in networks.models]).eval()
    model = converted(ensemble, images[:2])
    onnx.helper.set_model_props(model, _metadata(detector))
    for node in model.graph.node:  # torch notes there which lines made it, with the paths of this machine's files
        del node.metadata_props[:]
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    with torch.inference_mode():
        expected = np.concatenate([ensemble(images[i : i + BATCH]).numpy() for i in range(0, len(images), BATCH)])
    difference = float(np.abs(Onnx(folder, detector, None).scores(crops) - expected).max())
    if not difference <= PARITY:
        raise UserError(f"{path}: differs from torch by {difference:.2g} on real crops, more than {PARITY}")
    return difference


def converted(ensemble: Ensemble, images: Tensor) -> Any:
    """The ensemble as an ONNX model, for any number of images (B, 3, S, S) like these."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):  # it tells of every step
        program = torch.onnx.export(
            ensemble,
            (images,),
            input_names=["images"],
            output_names=["probability"],
            dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1)}},
            dynamo=True,
        )
    assert program is not None
    return program.model_proto


def _metadata(detector: Detector) -> dict[str, str]:
    preparation = detector.preparation
    return {
        "preprocessing": json.dumps(
            {
                "face": "largest face by dlib's frontal detector",
                "square": f"{preparation.enlarge} times the longer side of the face's box, shifted into the frame",
                "resize": f"to {preparation.crop_size} px: area when smaller, cubic when larger",
                "crop": f"the middle {preparation.image_size} px",
                "colours": "RGB, 0..1",
                "mean": preparation.mean,
                "std": preparation.std,
                "layout": "NCHW float32",
            }
        ),
        "output": "probability of fake, a column a network; their mean is the score, which detector.json calibrates",
        "classes": json.dumps(["real", "fake"]),
        "detector": f"{detector.name} {detector.quality}",
    }

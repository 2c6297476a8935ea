"""The networks of a shipped detector, by torch or by onnxruntime: crops in, probabilities of fake out."""

from abc import ABC, abstractmethod
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.serving.shipped import ONNX, Detector, Preparation
from pipeline.work.errors import UserError
from pipeline.work.onnx import runtime as onnx_runtime

Crops = NDArray[np.uint8]  # (N, crop_size, crop_size, 3), RGB
Scores = NDArray[np.float64]  # (N, K): of each fold's network
BATCH = 32  # crops at a time: at 112 px 5 MB of input, and some hundreds of MB within a network


class Networks(ABC):
    """All folds' networks of one detector."""

    runtime: str

    def __init__(self, preparation: Preparation) -> None:
        self.preparation = preparation

    def scores(self, crops: Crops) -> Scores:
        """Each network's probability of fake (N, K) of N crops."""
        parts = [self._batch(windows(crops[i : i + BATCH], self.preparation)) for i in range(0, len(crops), BATCH)]
        return np.concatenate(parts).astype(float)

    @abstractmethod
    def _batch(self, windows: Crops) -> NDArray[Any]:
        """(B, image_size, image_size, 3) -> (B, K)."""

    def maps(self, crops: Crops) -> NDArray[np.float32] | None:
        """Where the networks look (Grad-CAM, mean over them), (N, image_size, image_size) in 0..1; None: cannot say."""
        return None


class Torch(Networks):
    runtime = "torch"

    def __init__(self, folder: Path, detector: Detector) -> None:
        from pipeline.detectors.card import load
        from pipeline.detectors.device import device

        super().__init__(detector.preparation)
        import torch

        self.device = device()
        self.models = []
        for fold in detector.folds:
            model, card = load(folder / f"fold{fold}")
            if (card.image_size, card.backbone, card.quality) != (
                detector.preparation.image_size,
                detector.backbone,
                detector.quality,
            ):
                raise UserError(f"{folder / f'fold{fold}'}: not a network of this detector; export it again")
            self.models.append(model.to(self.device).to(memory_format=torch.channels_last))

    def _input(self, windows: Crops) -> Any:
        import torch

        from pipeline.loading.batches import normalise

        return normalise(torch.from_numpy(np.ascontiguousarray(windows)).to(self.device))

    def _batch(self, windows: Crops) -> NDArray[Any]:
        import torch

        images = self._input(windows)
        with torch.inference_mode():
            found = [model(images).logits.float().softmax(1)[:, 1].cpu().double() for model in self.models]
        return np.asarray(torch.stack(found, 1).numpy())

    def maps(self, crops: Crops) -> NDArray[np.float32] | None:
        from pipeline.evaluation.gradcam import grad_cam

        images = self._input(windows(crops, self.preparation))
        found = [grad_cam(model, images).cpu().numpy() for model in self.models]
        return np.asarray(np.mean(found, axis=0), dtype=np.float32)


class Onnx(Networks):
    runtime = "onnxruntime"

    def __init__(self, folder: Path, detector: Detector, threads: int | None) -> None:
        super().__init__(detector.preparation)
        onnxruntime = onnx_runtime()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads:
            options.intra_op_num_threads = options.inter_op_num_threads = threads
        try:
            self.session = onnxruntime.InferenceSession(
                str(folder / ONNX), options, providers=onnxruntime.get_available_providers()
            )
        except Exception as error:  # onnxruntime raises a class of its own for each cause
            raise UserError(
                f"{folder / ONNX}: cannot be read ({str(error).splitlines()[0]}); export it again"
            ) from None

    def _batch(self, windows: Crops) -> NDArray[Any]:
        return np.asarray(self.session.run(["probability"], {"images": normalised(windows)})[0])


def windows(crops: Crops, preparation: Preparation) -> Crops:
    """The middle of crops, which is what evaluation sees: (N, crop_size, crop_size, 3) -> (N, image_size, ...)."""
    start = (preparation.crop_size - preparation.image_size) // 2
    end = start + preparation.image_size
    return crops[:, start:end, start:end]


def normalised(windows: Crops) -> NDArray[np.float32]:
    """(N, S, S, 3) uint8 -> (N, 3, S, S) float32 in [-1, 1]: loading.batches.normalise without torch, bit for bit."""
    pixels = windows.transpose(0, 3, 1, 2).astype(np.float32)
    return np.ascontiguousarray((pixels - np.float32(127.5)) / np.float32(127.5))


def load(folder: Path, detector: Detector, onnx: bool | None = False, threads: int | None = None) -> Networks:
    """The networks by torch, or by onnxruntime where asked or where torch is absent; None: where it can be, for it
    starts in a third of the time and of the memory (docs/detector.md). Raises: UserError."""
    if onnx is None:
        onnx = (folder / ONNX).is_file() and find_spec("onnxruntime") is not None
    onnx = onnx or find_spec("torch") is None
    if not onnx:
        if threads:
            import torch

            torch.set_num_threads(threads)
        return Torch(folder, detector)
    if not (folder / ONNX).is_file():
        raise UserError(f"{folder}: holds no {ONNX}; export it with export.onnx true, or leave out --onnx")
    if find_spec("onnxruntime") is None:
        raise UserError("onnxruntime is not installed: `uv pip install onnxruntime`, or leave out --onnx")
    return Onnx(folder, detector, threads)

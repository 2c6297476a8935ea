"""One miniature run for all tests of this room."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from pipeline.serving.export import onnx_file
from tests.aids.shipping import Run, make, toys_known

HAS_ONNX = all(find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime"))
CONVERTED = onnx_file.converted  # before a fixture puts the toys' own in its place
needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason="onnx, onnxscript and onnxruntime are not installed")


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    root: Path = tmp_path_factory.mktemp("shipped")
    with pytest.MonkeyPatch.context() as patch, toys_known():
        patch.setenv("DVC_ROOT", str(root))
        if HAS_ONNX:
            from tests.aids import toy_onnx

            patch.setattr(onnx_file, "converted", toy_onnx.converted)
        yield make(root, onnx=HAS_ONNX)


@pytest.fixture(scope="session")
def shipped_backbone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The same with the sample's own backbone, and its ONNX file by torch's exporter: for slow tests."""
    root: Path = tmp_path_factory.mktemp("shipped_backbone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(root))
        patch.setattr(onnx_file, "converted", CONVERTED)
        yield make(root, onnx=True, backbone="mobilenet_v2")

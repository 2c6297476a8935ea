"""A video of the pipeline gets the very scores that evaluate gave its frames; other runtimes give the same."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.crops.shards import read_index, read_sample
from pipeline.loading.batches import normalise
from pipeline.serving.inputs import from_images, open_medium
from pipeline.serving.judging import judge, look
from pipeline.serving.networks import load, normalised
from pipeline.serving.outputs import as_dict, as_json
from pipeline.serving.shipped import read
from pipeline.videos.sampling import spread
from pipeline.work.onnx import VARIABLE
from tests.aids.shipping import Run
from tests.serving.conftest import needs_onnx

ROOT = Path(__file__).parents[2]


def expected(run: Run, quality: str) -> pd.DataFrame:
    table = run.scores(run.cell(quality))
    return table[table["quality"] == quality]


def test_a_raw_video_gets_the_scores_of_evaluate(shipped: Run) -> None:
    """Through its own search, squares, crops and windows; `fold` is the network that tested the video."""
    detector = read(shipped.detectors / "raw")
    networks = load(shipped.detectors / "raw", detector)
    table = expected(shipped, "raw")
    compared = 0
    for video, rows in table[table["set"] == "original"].groupby("video"):
        found = judge(
            look(open_medium(shipped.video(str(video))), detector, rows["frame"].tolist()), detector, networks
        )
        scores = {one.frame: one.scores[detector.folds.index(rows["fold"].iloc[0])] for one in found.sightings}
        assert scores == pytest.approx(dict(zip(rows["frame"], rows["score"], strict=True)), abs=1e-6)
        compared += len(scores)
    assert compared == 12


@pytest.mark.parametrize("count", [1, 8])
def test_frames_in_memory_get_the_scores_of_their_file(shipped: Run, count: int) -> None:
    """As a list, and as one array; each number of frames is looked at as a file's would be."""
    detector = read(shipped.detectors / "raw")
    networks = load(shipped.detectors / "raw", detector)
    medium = open_medium(shipped.video("v0"))
    pixels = [frame for _, frame in medium.read()][:count]
    by_file = judge(look(medium, detector, spread(count, detector.verdict.frames)), detector, networks)
    for given in (pixels, np.stack(pixels)):
        found = judge(look(from_images(given, crf=0), detector), detector, networks)
        assert found.sightings == by_file.sightings and found.verdict == by_file.verdict
        assert as_dict(found)["probability_fake"] == as_dict(by_file)["probability_fake"]
        assert as_dict(found)["quality"]["crf"] == 0 and as_json([as_dict(found)])


def test_compressed_crops_get_the_scores_of_evaluate(shipped: Run) -> None:
    """On c40 the pipeline's squares are those of raw, so its crops are taken from the shards."""
    detector = read(shipped.detectors / "c40")
    table = expected(shipped, "c40").set_index(["video", "frame"])
    index = read_index([shipped.root / "data/shards/original"])
    files = [read_sample(row["path"], row["offset"], row["bytes"])["c40.png"] for _, row in index.iterrows()]
    crops = np.stack([cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)[..., ::-1] for file in files])
    scores = load(shipped.detectors / "c40", detector).scores(crops)
    for row, (_, about) in zip(scores, index.iterrows(), strict=True):
        known = table.loc[(about["video"], about["frame"])]
        assert row[int(known["fold"])] == pytest.approx(known["score"], abs=1e-6)


def test_normalisation_without_torch_is_that_of_training() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, 3)
    assert np.array_equal(normalised(pixels), normalise(torch.from_numpy(pixels)).numpy())


@needs_onnx
def test_onnx_gives_torchs_scores_for_any_number_of_faces(shipped: Run) -> None:
    folder = shipped.detectors / "c40"
    detector = read(folder)
    by_torch, by_onnx = load(folder, detector), load(folder, detector, onnx=True)
    crops = np.random.default_rng(0).integers(0, 255, (37, 48, 48, 3), dtype=np.uint8)
    for count in (1, 2, 37):
        assert by_onnx.scores(crops[:count]) == pytest.approx(by_torch.scores(crops[:count]), abs=1e-4)


@needs_onnx
@pytest.mark.slow
def test_the_samples_own_backbone_is_exported_by_torch(shipped_backbone: Run) -> None:
    """On its crops, and for one face as for many: the fast tests have an ONNX file that was written node by node."""
    folder = shipped_backbone.detectors / "c40"
    detector = read(folder)
    by_torch, by_onnx = load(folder, detector), load(folder, detector, onnx=True)
    index = read_index([shipped_backbone.root / "data/shards/original"])
    files = [read_sample(row["path"], row["offset"], row["bytes"])["c40.png"] for _, row in index.iterrows()]
    crops = np.stack([cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)[..., ::-1] for file in files])
    for count in (1, 2, len(crops)):
        assert by_onnx.scores(crops[:count]) == pytest.approx(by_torch.scores(crops[:count]), abs=1e-4)
    require_no_places(shipped_backbone)


@needs_onnx
def test_onnx_needs_no_torch_and_tells_nobody(shipped: Run, tmp_path: Path) -> None:
    code = (
        "import sys; from pipeline.serving.__main__ import main\n"
        f"status = main(['predict', {str(shipped.video('v0', 'c40'))!r}, '--onnx', "
        f"'--model', {str(shipped.detectors / 'c40')!r}])\n"
        "sys.exit(status or 'torch' in sys.modules)"
    )
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in (VARIABLE, "CI")}
    environment |= {"TMPDIR": str(temporary)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "c40 detector" in done.stdout
    assert not list(temporary.iterdir()), "its telemetry would leave the identifier of a session"


@needs_onnx
def test_what_is_shipped_names_no_folder_of_its_maker(shipped: Run) -> None:
    """torch's exporter notes the lines of code that made each node, with their files."""
    require_no_places(shipped)


def require_no_places(run: Run) -> None:
    files = [path for path in (run.detectors / "c40").rglob("*") if path.is_file()]
    places = [str(place).encode() for place in (ROOT, run.root, Path(sys.prefix), Path(torch.__file__).parents[1])]
    assert len(files) > 4 and not [(path.name, one) for path in files for one in places if one in path.read_bytes()]


@needs_onnx
def test_the_onnx_file_says_what_it_expects(shipped: Run) -> None:
    import onnx

    model = onnx.load(shipped.detectors / "c40/detector.onnx")
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert "the middle 40 px" in properties["preprocessing"] and "fake" in properties["output"]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param

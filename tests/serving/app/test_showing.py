"""What the page shows, without the server that shows it: verdicts, clips of the run, three compressions."""

import re
from html import unescape
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pipeline.serving.app import showing
from pipeline.serving.app.clips import clips
from pipeline.serving.app.comparing import _start, compare
from pipeline.serving.app.detectors import Detectors, load_detectors
from pipeline.serving.inputs import open_medium
from pipeline.videos.writing import write_video
from pipeline.work.errors import UserError, VideoError
from tests.aids.clips import faces, ffmpeg
from tests.aids.shipping import Run, noise

ADD, BASELINE = "add-toy-faceswap", "baseline-toy-faceswap"


class Told(list[tuple[float, str]]):
    """Collects what is said of the progress."""

    def __call__(self, share: float, what: str) -> None:
        self.append((share, what))


def test_a_verdict_is_predicts_own_page(shipped: Run, detectors: Detectors) -> None:
    told, video = Told(), shipped.video("v0", "c40")
    shown = showing.judged(video, detectors, ADD, told)
    inner = unescape(re.search(r'srcdoc="([^"]*)"', shown)[1])  # type: ignore[index]
    judgement = detectors.family(ADD).judge(open_medium(video))
    assert judgement.decisive is not None
    assert f"<strong>{judgement.decisive.probability:.2f}</strong>" in inner and "trained at c40" in inner
    assert "evidence, not proof" in inner and inner.count("data:image/png;base64,") == 12
    assert [share for share, _ in told] == pytest.approx([n / 6 for n in range(1, 7)])


def test_a_clip_of_the_run_is_judged_by_the_network_that_never_saw_its_person(
    shipped: Run, detectors: Detectors
) -> None:
    found = clips(shipped.root / "data/raw", detectors.tests)
    assert list(found)[:2] == ["v0: real", "v0: faceswap"] and len(found) == 8
    fold = found["v1: real"].fold
    (alone,) = detectors.family(ADD, fold).networks("raw").models
    others = detectors.family(ADD).networks("raw").models
    same = [torch.equal(next(alone.parameters()), next(one.parameters())) for one in others]
    assert fold == 1 and same == [False, True]
    shown = showing.judged(found["v1: faceswap"].path, detectors, ADD, Told(), found["v1: faceswap"])
    assert "This clip is <strong>fake (faceswap)</strong>" in shown and "1 network;" in shown


def test_clips_of_people_whom_every_network_saw_are_not_offered(shipped: Run) -> None:
    assert {clip.fold for clip in clips(shipped.root / "data/raw", {"b1": 1}).values()} == {1}
    assert clips(shipped.root / "nothing", {"b1": 1}) == {}


def test_a_comparison_asks_every_detector_once_about_each_version(shipped: Run, detectors: Detectors) -> None:
    told, fold = Told(), detectors.tests["b0"]
    found = compare(shipped.video("v0"), detectors, told, fold)
    assert [row.label for row in found.rows] == [
        "Trained on raw video", "Plain baseline, trained on c40", "ADD, trained on c40",
    ]  # fmt: skip
    assert [version.name for version in found.versions] == ["raw", "c23", "c40"]
    assert found.versions[2].bytes == shipped.video("v0", "c40").stat().st_size  # the pipeline's own compression
    family = detectors.family(ADD, fold)
    for quality, row in (("raw", found.rows[0]), ("c40", found.rows[2])):
        for cell, video in ((row.cells[0], shipped.video("v0")), (row.cells[2], shipped.video("v0", "c40"))):
            expected = family.judge(open_medium(video), quality, 12)
            assert cell.judgement.detector.quality == quality
            assert cell.judgement.sightings == expected.sightings  # the sharpness tells the versions apart
    assert len({cell.shown.sighting.frame for row in found.rows for cell in row.cells if cell.shown}) == 1
    for version in range(3):  # whose faces are searched once
        assert len({id(row.cells[version].judgement.crops) for row in found.rows}) == 1
    shares = [share for share, _ in told]
    assert shares == sorted(shares) and shares[-1] == 1


def test_a_comparison_on_the_page(shipped: Run, detectors: Detectors) -> None:
    clip = clips(shipped.root / "data/raw", detectors.tests)["v0: real"]
    found = compare(clip.path, detectors, Told(), clip.fold)
    inner = showing.comparison_page(found, "<i>v0</i>", clip)
    assert inner.count("data:image/png;base64,") == 18 and "&lt;i&gt;v0" in inner and "<script" not in inner
    told = [cell.judgement.verdict for row in found.rows for cell in row.cells]
    assert inner.count("(right)") == told.count("real") and inner.count("(wrong)") == told.count("fake")
    assert "came compressed" not in inner and "evidence, not proof" in inner


def test_a_file_from_elsewhere_is_cut_to_where_its_faces_are(detectors: Detectors, tmp_path: Path) -> None:
    blank = [np.full((550, 700, 3), 90, np.uint8)] * 4
    large = [cv2.resize(face, (700, 550)) for face in faces(3)]
    write_video(tmp_path / "late.mp4", blank + large, 2, (700, 550), crf=30)
    found = compare(tmp_path / "late.mp4", detectors, Told())
    raw = found.rows[0].cells[0].judgement
    assert found.start == pytest.approx(1 / 2) and found.seconds == pytest.approx(3.0)
    assert (raw.medium.width, raw.medium.height) == (640, 502) and raw.with_face
    assert found.came.crf > 1 and "came compressed (h264" in showing.comparison_page(found, "late.mp4")


@pytest.mark.parametrize(
    ("seen", "length", "frames", "start"),
    [([], 10, 50, 0), ([3, 30, 31, 32], 10, 50, 30), ([5, 40], 10, 50, 5), ([49], 10, 50, 40), ([1, 2], 90, 50, 0)],
)
def test_where_a_clip_begins(seen: list[int], length: int, frames: int, start: int) -> None:
    assert _start(seen, length, frames) == start


def test_what_cannot_be_judged_is_one_line(detectors: Detectors, tmp_path: Path) -> None:
    (tmp_path / "<b>text.mp4").write_text("not a video\n" * 9)
    (tmp_path / "empty.mp4").touch()
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", tmp_path / "audio.m4a")
    cv2.imwrite(str(tmp_path / "photo.png"), faces(1)[0][..., ::-1])
    for name, said in (
        ("empty.mp4", "0 bytes"),
        ("audio.m4a", "no video stream"),
        ("<b>text.mp4", "&lt;b&gt;text.mp4"),
    ):
        for shown in (
            showing.judged(tmp_path / name, detectors, ADD, Told()),
            showing.compared(tmp_path / name, detectors, Told()),
        ):
            assert said in shown and "cannot be" in shown and "<b>" not in shown and "iframe" not in shown
    assert "drop a video to compare" in showing.compared(tmp_path / "photo.png", detectors, Told())
    assert "iframe" in showing.judged(tmp_path / "photo.png", detectors, ADD, Told())


def test_a_video_without_a_face_is_undecided_and_compared_without_one(detectors: Detectors, tmp_path: Path) -> None:
    write_video(tmp_path / "noface.mp4", noise(4), 25, (96, 96))
    assert "no face in any of 4 frames" in showing.judged(tmp_path / "noface.mp4", detectors, ADD, Told())
    found = compare(tmp_path / "noface.mp4", detectors, Told())
    assert all(cell.shown is None for row in found.rows for cell in row.cells)
    assert "no face in any of" in showing.comparison_page(found, "noface.mp4")


def test_families_are_named_and_add_stands_first(detectors: Detectors, both: list[Path]) -> None:
    assert list(detectors.families) == [ADD, BASELINE] and detectors.tests == {"b0": 0, "b1": 1}
    with pytest.raises(UserError, match="a second detector of the name"):
        load_detectors([both[0], both[0]])
    with pytest.raises(VideoError, match="missing"):
        compare(Path("gone.mp4"), detectors, Told())

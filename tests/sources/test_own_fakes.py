"""A user's own fakes: clip frame i is frame i of the same numbering as its target's, or the fake is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.params import schema as params
from pipeline.sources import registry as sources
from pipeline.videos.alignment import compare
from pipeline.videos.manifests import read_manifest, read_rejected
from pipeline.videos.reading import read_frames
from pipeline.work.errors import UserError
from tests.aids.clips import ffmpeg, numbered, numbers

ROOT = Path(__file__).parents[2]
X264 = ("-c:v", "libx264", "-crf", "10", "-bf", "3")
VARIABLE = "setpts='if(lt(N,60),N,60+(N-60)*2)/30/TB'"  # at 30 frames a second, then at 15: 1785/89 in the mean
Download = Callable[..., None]


@pytest.fixture
def download(tmp_path: Path) -> Download:
    """Leave the originals of tmp_path/videos and the fakes of the table, in clips of 30 frames."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "fakes").mkdir()
    (tmp_path / "fakes/fakes.csv").write_text("file,manipulation,target\nfake.mp4,swap,ann.mp4\n")
    numbered(tmp_path / "videos/ben.mp4", 60, *X264)
    defaults = params.load(ROOT / "params.yaml")
    options = {"path": str(tmp_path / "videos"), "fakes": str(tmp_path / "fakes/fakes.csv"), "clip_frames": 30}

    def run(**changes: object) -> None:
        section = defaults.folder.model_copy(update=options | changes)
        split = defaults.split.model_copy(update={"buckets": 2})
        update = {"source": "folder", "folder": section, "split": split, "workers": 1}
        for name in ("original", "swap"):
            sources.download(defaults.model_copy(update=update), name, tmp_path / name)

    return run


def told(path: Path) -> list[int]:
    return numbers(image for _, image in read_frames(path))


def same_frames(folder: Path, clips: int = 3) -> list[int]:
    """The first frames of the clips, where those of the fake show the same as those of their target."""
    rows = read_manifest(folder / "swap")
    assert len(rows) == clips
    firsts = []
    for video, target in zip(rows["video"], rows["target"], strict=True):
        shown = told(folder / f"swap/{video}.mp4")
        assert shown == told(folder / f"original/{target}.mp4") == list(range(shown[0], shown[0] + 30))
        firsts.append(shown[0])
    return firsts


def test_a_target_whose_sound_begins_before_its_picture(download: Download, tmp_path: Path) -> None:
    fake = numbered(tmp_path / "fakes/fake.mp4", 150, *X264)
    sound = ("-f", "lavfi", "-i", "sine=d=7", "-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac")
    ffmpeg("-itsoffset", "0.8", "-i", fake, *sound, tmp_path / "videos/ann.mp4")
    download()
    assert same_frames(tmp_path) == [0, 60, 120]


def test_a_target_of_variable_rate_and_a_fake_of_its_frames(download: Download, tmp_path: Path) -> None:
    numbered(tmp_path / "videos/ann.mp4", 120, *X264, "-fps_mode", "passthrough", rate=30, filters=VARIABLE)
    for rate in (30, "1785/89"):  # whatever the tool that made the fake takes for the rate
        numbered(tmp_path / "fakes/fake.mp4", 120, *X264, rate=rate)
        download()
        assert same_frames(tmp_path) == [0, 45, 90]
    for name, person in (("original", "ann"), ("swap", "ann")):
        rows = read_manifest(tmp_path / name)
        assert rows.loc[rows["person"] == person, "fps"].to_list() == pytest.approx([1785 / 89] * 3)


def test_a_fake_of_other_frames_is_refused_with_what_differs(download: Download, tmp_path: Path) -> None:
    target, fake = tmp_path / "videos/ann.mp4", tmp_path / "fakes/fake.mp4"
    numbered(target, 120, *X264, "-fps_mode", "passthrough", rate=30, filters=VARIABLE)
    ffmpeg("-i", target, "-vf", "fps=1785/89", "-frames:v", 120, *X264, fake)  # as many, some twice and some left out
    with pytest.raises(UserError, match=r"its frame \d+ shows what frame \d+ of its target shows"):
        download()
    numbered(target, 120, *X264)
    for filters, cause in (
        ("select='gte(n,3)',tpad=stop=3:stop_mode=clone", "its frame 0 shows what frame 3 of its target shows"),
        ("select='gte(n,1)'", "119 frames, but its target has 96x80 px, 120 frames"),
    ):
        ffmpeg("-i", target, "-vf", filters, "-fps_mode", "passthrough", *X264, fake)
        with pytest.raises(UserError, match=cause):
            download()
    numbered(fake, 120, *X264, rate=30)
    with pytest.raises(UserError, match="30 frames a second, but its target has 25"):
        download()


def test_a_target_of_oblong_pixels_and_a_fake_that_knows_nothing_of_them(download: Download, tmp_path: Path) -> None:
    numbered(tmp_path / "videos/ann.mp4", 90, *X264, filters="setsar=16/11")
    numbered(tmp_path / "fakes/fake.mp4", 90, *X264)
    download()
    assert same_frames(tmp_path) == [0, 30, 60]
    for name in ("original", "swap"):
        rows = read_manifest(tmp_path / name)
        ann = rows[rows["person"] == "ann"]
        assert set(zip(ann["width"], ann["height"], strict=True)) == {(138, 80)}


def test_a_damaged_video_leaves_the_others(download: Download, tmp_path: Path) -> None:
    numbered(tmp_path / "videos/ann.mp4", 90, *X264)
    numbered(tmp_path / "fakes/fake.mp4", 90, *X264)
    numbered(tmp_path / "videos/c.avi", 90, "-c:v", "mpeg4", "-bf", 2)
    data = (tmp_path / "videos/ben.mp4").read_bytes()
    at = data.find(b"mdat") + 1000
    (tmp_path / "videos/d.mp4").write_bytes(data[:at] + bytes(512) + data[at + 512 :])
    download()
    assert set(read_manifest(tmp_path / "original")["person"]) == {"ann", "ben", "c"}
    assert list(read_rejected(tmp_path / "original")["video"]) == ["d-mp4"]


def moving(frames: int, seed: int = 0) -> np.ndarray:
    """Thumbnails (N, 576) of a head that sways before a still ground."""
    columns, lines = np.meshgrid(np.arange(24), np.arange(24))
    sway = np.cumsum(np.random.default_rng(seed).normal(0, 0.4, frames))
    heads = [np.exp(-((columns - 12 - x) ** 2 + (lines - 12) ** 2) / 30) for x in sway]
    return (100 + 100 * np.array(heads)).astype(np.int16).reshape(frames, -1)


def test_frames_are_told_from_their_neighbours_by_what_moves_outside_the_face() -> None:
    target = moving(200)
    face = np.zeros((24, 24), dtype=bool)
    face[9:15, 9:15] = True
    fake = target.copy()
    fake[:, face.ravel()] = moving(200, seed=1)[:, face.ravel()] + 20  # another face, with movements of its own
    assert compare(fake, target) == "" == compare(target, target)
    assert compare(fake[2:], target[:-2]).startswith("its frame 0 shows what frame 2")
    assert compare(np.repeat(fake[::2], 2, axis=0)[5:], target[:-5])
    still = np.repeat(target[:1], 200, axis=0)
    assert compare(still, still) == "" == compare(still[5:], still[:-5])  # nothing to tell them by
    assert compare(moving(200, seed=2), target) == "" == compare(still, target)  # a whole head forged

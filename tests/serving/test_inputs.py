"""What predict sees of a file is what the pipeline's own clips of it show."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.serving.inputs import open_medium
from pipeline.videos.reading import read_frames
from pipeline.work.errors import VideoError
from tests.aids.clips import cut_one, ffmpeg


@pytest.mark.parametrize(
    ("name", "filters", "options"),
    [
        ("plain.mkv", "null", []),
        ("wide.mkv", "setsar=16/11", []),  # pixels that are not square
        ("tall.mkv", "setsar=8/9", []),
        ("interlaced.mkv", "interlace", ["-flags", "+ildct+ilme"]),
    ],
)
def test_a_video_is_seen_as_its_clip(tmp_path: Path, name: str, filters: str, options: list[str]) -> None:
    source, clip = tmp_path / name, tmp_path / "clip.mp4"
    picture = f"testsrc2=s=96x80:r=50:d=0.2,gblur=3,{filters},format=yuv420p"
    ffmpeg("-f", "lavfi", "-i", picture, "-c:v", "libx264", "-crf", "1", *options, source)
    info, medium = cut_one(source, clip), open_medium(source)
    assert (medium.width, medium.height, medium.frames) == (info.width, info.height, info.frames)
    for (number, seen), (_, cut) in zip(medium.read([1, 3]), read_frames(clip, [1, 3]), strict=True):
        assert seen.shape == (medium.height, medium.width, 3)
        assert np.abs(seen.astype(float) - cut).mean() < 2, number


def test_a_text_that_draws_is_no_photo(tmp_path: Path) -> None:
    """Pillow would have Ghostscript run it."""
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\nshowpage\n")
    with pytest.raises(VideoError):
        open_medium(tmp_path / "a.jpg")

"""Real ffmpeg on made-up videos; cv2, which brings its own libraries, is the independent reader."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.videos.reading import probe, read_frames
from pipeline.videos.writing import transcode, write_video
from pipeline.work.errors import VideoError
from tests.aids.clips import HEIGHT, WIDTH, cut_one, ffmpeg, pictures

SIZE = (WIDTH, HEIGHT)


def decoded(path: Path) -> np.ndarray:
    return np.array([image for _, image in read_frames(path)]).astype(int)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    write_video(path, pictures(20), Fraction(30000, 1001), SIZE, metadata={"comment": 'synthetic: "a"=1'})
    return path


def test_probe_agrees_with_another_reader(clip: Path) -> None:
    info, reader = probe(clip), cv2.VideoCapture(str(clip))
    count = 0
    while reader.read()[0]:
        count += 1
    assert (info.frames, info.width, info.height) == (count, *SIZE) == (20, *SIZE)
    assert info.fps == Fraction(30000, 1001) and info.constant
    assert (info.codec, info.pix_fmt) == ("h264", "yuv420p")
    assert reader.get(cv2.CAP_PROP_FPS) == pytest.approx(29.97, abs=0.01)


def test_frames_agree_with_another_reader(clip: Path) -> None:
    reader = cv2.VideoCapture(str(clip))
    for image in decoded(clip):
        other = cv2.cvtColor(reader.read()[1], cv2.COLOR_BGR2RGB)
        assert np.abs(image - other.astype(int)).mean() < 3  # cv2 converts with swscale's fast, biased code


def test_wanted_frames_are_those_of_the_whole_video(clip: Path) -> None:
    everything = decoded(clip)
    picked = dict(read_frames(clip, [19, 3, 4, 5, 11, 3]))
    assert list(picked) == [3, 4, 5, 11, 19]
    assert all((image == everything[index]).all() for index, image in picked.items())
    assert list(read_frames(clip, [])) == []


def test_same_frames_same_bytes(clip: Path, tmp_path: Path) -> None:
    write_video(
        tmp_path / "again.mp4", pictures(20), Fraction(30000, 1001), SIZE, metadata={"comment": 'synthetic: "a"=1'}
    )
    assert (tmp_path / "again.mp4").read_bytes() == clip.read_bytes()
    assert b'synthetic: "a"=1' in clip.read_bytes()


def test_another_generation_does_not_shift_the_colours(clip: Path, tmp_path: Path) -> None:
    """A fake is decoded and encoded once more than its target: that alone must not give it away."""
    first = decoded(clip)
    write_video(tmp_path / "second.mp4", first.astype(np.uint8), 25, SIZE)
    change = decoded(tmp_path / "second.mp4") - first
    assert abs(change.mean()) < 0.02 and np.abs(change).mean() < 0.05


def test_compression_keeps_every_frame(clip: Path, tmp_path: Path) -> None:
    paths = [clip, *(tmp_path / f"c{crf}.mp4" for crf in (23, 40))]
    for path, crf in zip(paths[1:], (23, 40), strict=True):
        assert transcode(clip, path, crf).frames == 20
    sizes = [path.stat().st_size for path in paths]
    errors = [np.abs(decoded(path) - decoded(clip)).mean() for path in paths]
    assert sizes == sorted(sizes, reverse=True) and errors == sorted(errors) and 0 == errors[0] < errors[1]


def test_cut_takes_the_asked_part(clip: Path, tmp_path: Path) -> None:
    info = cut_one(clip, tmp_path / "part.mp4", frames=5, crop=(11, 7, 41, 35))
    assert (info.frames, info.width, info.height, info.fps) == (5, 40, 34, Fraction(30000, 1001))
    whole, part = decoded(clip)[:5], decoded(tmp_path / "part.mp4")
    assert np.median(np.abs(part - whole[:, 7:41, 11:51])) <= 1  # at an odd corner edges of colour are mixed anew
    cut_one(clip, tmp_path / "even.mp4", frames=5, crop=(10, 6, 40, 34))
    assert np.abs(decoded(tmp_path / "even.mp4") - whole[:, 6:40, 10:50]).mean() < 0.1
    later = cut_one(clip, tmp_path / "later.mp4", first=10)
    assert later.frames == 10
    assert np.abs(decoded(tmp_path / "later.mp4") - decoded(clip)[10:]).mean() < 0.1


def test_odd_videos_become_plain_ones(clip: Path, tmp_path: Path) -> None:
    ffmpeg("-display_rotation", 90, "-i", clip, "-c", "copy", tmp_path / "turned.mp4")
    ffmpeg("-i", clip, "-vf", "select='not(mod(n,7)*mod(n,3))'", "-fps_mode", "passthrough", tmp_path / "uneven.mp4")
    ffmpeg("-i", clip, "-vf", "scale=95:79", "-pix_fmt", "yuv444p10le", "-c:v", "libx264", tmp_path / "odd.mkv")
    assert not probe(tmp_path / "uneven.mp4").constant
    sizes = {"turned.mp4": (HEIGHT, WIDTH), "uneven.mp4": SIZE, "odd.mkv": (94, 78)}
    for name, size in sizes.items():
        info = cut_one(tmp_path / name, tmp_path / "plain.mp4")
        assert (info.width, info.height, info.pix_fmt, info.constant) == (*size, "yuv420p", True)
        assert decoded(tmp_path / "plain.mp4").shape == (info.frames, size[1], size[0], 3)


def test_bad_videos_are_refused_with_their_cause(clip: Path, tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", tmp_path / "sound.mp4")
    ffmpeg("-i", clip, "-c", "copy", "-movflags", "+faststart", tmp_path / "front.mp4")
    half = len(clip.read_bytes()) // 2
    (tmp_path / "short.mp4").write_bytes((tmp_path / "front.mp4").read_bytes()[:half])
    (tmp_path / "headless.mp4").write_bytes(clip.read_bytes()[:half])
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "page.mp4").write_text("<html>404</html>" * 50)
    causes = {
        "sound": "no video stream", "short": "damaged or cut short", "headless": "moov atom not found",
        "empty": "empty", "page": "not readable as a video", "absent": "missing",
    }  # fmt: skip
    for name, cause in causes.items():
        path = tmp_path / f"{name}.mp4"
        for action in (
            probe,
            lambda path: transcode(path, tmp_path / "out.mp4", 23),
            lambda path: cut_one(path, tmp_path / "out.mp4"),
        ):
            with pytest.raises(VideoError, match=cause) as caught:
                action(path)
            assert "0x" not in str(caught.value) and "\n" not in str(caught.value)  # the same text in every run
    assert not list(tmp_path.glob("out.mp4*"))


def test_a_frame_that_is_not_there(clip: Path) -> None:
    with pytest.raises(VideoError, match="frame 20 cannot be decoded"):
        list(read_frames(clip, [2, 20]))


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    frames = [*pictures(3), np.zeros((8, 8, 3), np.uint8)]
    with pytest.raises(ValueError, match="a frame is uint8"):
        write_video(tmp_path / "x.mp4", frames, 25, SIZE)
    with pytest.raises(ValueError, match="must be even"):
        write_video(tmp_path / "x.mp4", frames, 25, (95, 80))
    assert not list(tmp_path.iterdir())


def test_names_reach_ffmpeg_as_files(tmp_path: Path) -> None:
    for name in ("-y.mp4", "http:x.mp4", "a b'c;$(d).mp4"):
        write_video(tmp_path / name, pictures(2), 25, SIZE)
        assert probe(tmp_path / name).frames == len(list(read_frames(tmp_path / name))) == 2


def test_a_region_holds_the_pixels_of_the_whole_frame(tmp_path: Path) -> None:
    video = tmp_path / "v.mp4"
    write_video(video, pictures(6), 25, (WIDTH, HEIGHT))
    whole, part = (dict(read_frames(video, [1, 4], region)) for region in (None, (10, 6, 34, 52)))
    assert whole.keys() == part.keys()
    assert all((part[frame] == whole[frame][6:58, 10:44]).all() for frame in whole)


@pytest.mark.parametrize("frames", [19, 21])
def test_a_compressed_video_of_fewer_or_more_frames_is_refused(clip: Path, tmp_path: Path, frames: int) -> None:
    """Raw, c23 and c40 would show other moments under the same numbers."""
    with pytest.raises(VideoError, match=f"{frames} frames became 20 at crf 40"):
        transcode(clip, tmp_path / "c40.mp4", 40, frames)
    assert not list(tmp_path.iterdir())


def test_a_rate_factor_is_the_one_asked_for(clip: Path, tmp_path: Path) -> None:
    for crf in (23, 40):
        transcode(clip, tmp_path / f"c{crf}.mp4", crf, 20)
        assert f"crf={crf}.0".encode() in (tmp_path / f"c{crf}.mp4").read_bytes()  # x264 writes its settings down

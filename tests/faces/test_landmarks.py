"""Faces followed through a video: smooth, unbroken, and the same after a round trip through parquet."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy.ndimage import gaussian_filter1d

from pipeline.faces import landmarks as tracking
from pipeline.faces.geometry import Face
from pipeline.faces.landmarks import MAX_GAP, runs, smooth
from pipeline.faces.tracks import Track, from_rows, read_track, to_rows, writing
from pipeline.videos.writing import write_video
from pipeline.work.errors import UserError
from tests.aids.faces68 import draw, face68

SKINS = {"a": (200, 160, 140), "b": (150, 110, 90), "c": (220, 180, 170)}


def test_smoothing_bridges_gaps_and_leaves_a_steady_motion_alone():
    frames = np.array([3, 4, 7, 8, 9])
    line = np.stack([2.0 * frames + 1, -1.0 * frames], axis=1)
    dense = smooth(line, frames, 1e-3)
    np.testing.assert_allclose(dense, np.stack([2.0 * np.arange(3, 10) + 1, -1.0 * np.arange(3, 10)], axis=1))
    noisy = np.random.default_rng(0).normal(size=(30, 68, 2))
    expected = gaussian_filter1d(noisy[:, 5, 1], 1.0, mode="nearest")
    np.testing.assert_allclose(smooth(noisy, np.arange(30), 1.0)[:, 5, 1], expected)


def test_an_appearance_ends_at_long_gaps_and_jumps_and_false_alarms_are_dropped():
    here, there = Face(0, 0, 100, 100), Face(300, 0, 400, 100)
    short = [here] * 4 + [None] * MAX_GAP + [here] * 4
    long = [here] * 4 + [None] * (MAX_GAP + 1) + [here] * 4
    assert [list(run) for run in runs(short)] == [[0, 1, 2, 3, *range(4 + MAX_GAP, 8 + MAX_GAP)]]
    assert [len(run) for run in runs(long)] == [4, 4]
    assert [list(run) for run in runs([here] * 3 + [there] * 3)] == [[0, 1, 2], [3, 4, 5]]
    assert [list(run) for run in runs([here] * 3 + [None] * 6 + [there] + [None] * 6 + [here] * 3)] == [
        [0, 1, 2],
        [16, 17, 18],
    ]
    assert runs([None] * 5) == []


def test_a_face_is_tracked_until_it_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    empty = draw(face68((-300, 0), 110), (320, 240), SKINS["a"])
    shown = [draw(face68((140 + 2 * i, 120), 110), (320, 240), SKINS["a"]) for i in range(16)]
    write_video(tmp_path / "v.mp4", shown + [empty] * 8, 25, (320, 240))
    monkeypatch.setattr(tracking, "landmarks", lambda image, face, model: np.tile(face.centre, (68, 1)))
    track = tracking.track(tmp_path / "v.mp4", 400, tmp_path / "unused.dat")
    assert track.found.tolist() == [True] * 16 + [False] * 8
    assert track.usable.tolist() == list(range(16))
    drift = np.diff(track.points[3:13, 0, 0])
    assert np.abs(drift - 2).max() < 2, "steady, whatever the detector's steps"


def test_tracks_are_read_a_video_at_a_time(tmp_path: Path):
    random = np.random.default_rng(0)
    tracks = {video: Track(random.random(5) < 0.9, random.uniform(0, 99, (5, 68, 2))) for video in ("v", "w", "x")}
    tracks["w"].points[3:] = np.nan
    path = tmp_path / "tracks.parquet"
    with writing(path) as write:
        for video, track in tracks.items():
            write(video, track)
        assert not path.exists()
    assert pq.ParquetFile(path).num_row_groups == 3
    for video, track in tracks.items():
        found = read_track(path, video)
        np.testing.assert_array_equal(found.found, track.found)
        np.testing.assert_allclose(found.points, track.points, atol=1e-5)
    assert read_track(path, "w").unusable.tolist() == [3, 4] and read_track(path, "y") is None


@pytest.mark.parametrize("content", [None, b"", b"PAR1", "half"])
def test_damaged_tracks_are_refused_in_one_line(tmp_path: Path, content: bytes | str | None):
    path = tmp_path / "landmarks.parquet"
    with writing(path) as write:
        write("v", Track(np.ones(5, bool), np.ones((5, 68, 2))))
    if content is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[::2] if isinstance(content, str) else content)
    with pytest.raises(UserError, match=r"landmarks\.parquet: cannot be read \(.*\); run the landmarks stage again$"):
        read_track(path, "v")


def test_rows_survive_parquet(tmp_path: Path):
    points = np.random.default_rng(0).uniform(0, 300, (5, 68, 2)).astype(np.float32).astype(float)
    points[2] = np.nan
    track = Track(np.array([True, True, False, False, True]), points)
    to_rows("v", track).to_parquet(tmp_path / "t.parquet", index=False)
    back = from_rows(pd.read_parquet(tmp_path / "t.parquet"))
    np.testing.assert_array_equal(back.points, points)
    np.testing.assert_array_equal(back.found, track.found)
    assert back.usable.tolist() == [0, 1, 3, 4]

"""Files that somebody else has put there run nothing: pickles, checkpoints, playlists, params, names, tables."""

import csv
import io
import json
import os
import pickle
import struct
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.detectors import card
from pipeline.params import presets
from pipeline.params.schema import load
from pipeline.reporting.page.conclusion import Conclusion
from pipeline.reporting.page.page import Page, Section
from pipeline.reporting.tables.table import Entry, Table
from pipeline.serving.outputs import Failure, as_csv, as_dict
from pipeline.training.checkpoint import Checkpoint
from pipeline.videos.examining import examine
from pipeline.videos.reading import probe, read_frames
from pipeline.videos.writing import transcode, write_video
from pipeline.work import kept
from pipeline.work.errors import UserError, VideoError
from pipeline.work.parallel import map_videos
from pipeline.work.resume import Scratch
from tests.aids.clips import pictures

ROOT = Path(__file__).parents[2]


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def ran(tmp_path: Path) -> Iterator[Path]:
    """Where a file's code would leave its mark; nothing may be there at the end."""
    yield tmp_path / "ran"
    assert not (tmp_path / "ran").exists()


def half(number: int) -> float:
    return number / 2


def foreign(ran: Path, name: str) -> bytes:
    """What could lie in a place of the scratch folder."""
    buffer = io.BytesIO()
    if name == "a pickle":
        return pickle.dumps(Touch(ran))
    if name == "an array of objects":
        np.save(buffer, np.array([Touch(ran)], dtype=object), allow_pickle=True)
        return buffer.getvalue()
    if name == "an archive with objects":
        np.savez(buffer, tree=np.array([Touch(ran)], dtype=object), allow_pickle=True)
        return buffer.getvalue()
    tree = {"another class": {"Popen": [["touch", str(ran)]]}, "not a tree": {"a": 1, "b": 2}}[name]
    np.savez(buffer, tree=np.frombuffer(json.dumps(tree).encode(), np.uint8))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "name", ["a pickle", "an array of objects", "an archive with objects", "another class", "not a tree"]
)
def test_a_foreign_result_in_the_scratch_folder_is_worked_out_anew(name: str, ran: Path, tmp_path: Path) -> None:
    with Scratch("halve", tmp_path, {}, []) as scratch:
        scratch.place("7").write_bytes(foreign(ran, name))
        assert list(map_videos(half, [7], workers=1, what="halve", keep=scratch)) == [3.5]


def test_a_foreign_checkpoint_starts_the_training_over(ran: Path, tmp_path: Path, capsys: Any) -> None:
    checkpoint = Checkpoint({"seed": 1}, [])
    checkpoint.path.parent.mkdir(exist_ok=True)
    torch.save({"step": 3, "model": Touch(ran)}, checkpoint.path)
    assert checkpoint.load() is None and "training starts over" in capsys.readouterr().err
    checkpoint.path.write_bytes(pickle.dumps(Touch(ran)))
    assert checkpoint.load() is None
    checkpoint.save({"step": 4})
    assert checkpoint.load() == {"step": 4}
    checkpoint.clear()


@pytest.mark.parametrize(
    "weights",
    [
        lambda ran: pickle.dumps(Touch(ran)),
        lambda ran: struct.pack("<Q", 1 << 62) + b"{}",  # a header of four million terabytes
        lambda ran: struct.pack("<Q", 2) + b"{}",
        lambda ran: b"",
    ],
    ids=["a pickle", "a huge header", "nothing in it", "empty"],
)
def test_foreign_weights_are_refused_in_one_line(weights: Callable[[Path], bytes], ran: Path, tmp_path: Path) -> None:
    about = {"method": "add", "backbone": "mobilenet_v2", "manipulation": "faceswap", "quality": "c40", "seed": 0}
    buckets = {"train": ("b0",), "val": (), "test": ("b1",)}
    made = card.Card(**about, fold=0, buckets=buckets, image_size=64, mean=0.5, std=0.5)
    (tmp_path / card.CARD).write_text(made.model_dump_json())
    (tmp_path / card.WEIGHTS).write_bytes(weights(ran))
    with pytest.raises(UserError, match=r"not a model of this version: [^\n]*train it again$"):
        card.load(tmp_path)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    write_video(path, pictures(4), 25, (96, 80))
    return path


NAMES = [
    "$(mkdir ran).mp4", "; mkdir ran;.mp4", "`mkdir ran`.mp4", "| mkdir ran.mp4", "-y.mp4", "-i.mp4", "a%03d.mp4",
    "concat:a.mp4|b.mp4", "file:a.mp4", "http:a.mp4", "pipe:0.mp4", "a'b\"c.mp4", "a\nb.mp4", "[0:v].mp4",
    "a,crop=1.mp4",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_videos_name_is_nothing_but_a_name(
    name: str, ran: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(clip.read_bytes())
    assert probe(Path(name)).frames == 4 and len(list(read_frames(Path(name)))) == 4
    assert transcode(Path(name), Path(f"out {name}"), 40).frames == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, f"out {name}"])


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """The address of a server, and what it was asked for."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_error(404)

        def log_message(self, *words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", paths
        server.shutdown()


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n",
    "hls with a key": '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n#EXTINF:1,\na.mp4\n#EXT-X-ENDLIST\n',
    "concat": "ffconcat version 1.0\nfile '{target}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet '
    'mimeType="video/mp4"><Representation id="1"><BaseURL>{target}</BaseURL><SegmentList><SegmentURL media="{target}"/>'
    "</SegmentList></Representation></AdaptationSet></Period></MPD>",
    "sdp": "v=0\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("look", [examine, probe])
def test_a_playlist_named_as_a_video_opens_nothing(
    kind: str, look: Callable[[Path], object], asked: tuple[str, list[str]], clip: Path, tmp_path: Path
) -> None:
    """Neither an address nor a file that lies elsewhere, although that is a video."""
    address, paths = asked
    for target in (f"{address}/a.mp4", str(clip), f"file://{clip}", "/etc/passwd"):
        trick = tmp_path / "trick.mp4"
        trick.write_text(PLAYLISTS[kind].format(target=target))
        with pytest.raises(VideoError):
            look(trick)
    assert not paths


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir [ran]", "!!python/name:os.system ''"])
def test_tags_of_yaml_make_nothing(tag: str, ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("alpha: 1.0", f"alpha: {tag}"))
    with pytest.raises(UserError, match=r"params\.yaml: "):
        load("params.yaml")
    (tmp_path / "params.yaml").write_text(text)
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets/odd.yaml").write_text(f"alpha: {tag}\n")
    with pytest.raises(UserError, match=r"presets/odd\.yaml: "):
        presets.apply("odd")
    assert (tmp_path / "params.yaml").read_text() == text


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A1.mp4", "+1.mp4", "-1.mp4", "@sum(1).mp4"])
def test_no_name_is_a_formula_in_the_csv_of_verdicts(name: str) -> None:
    (row,) = csv.DictReader(io.StringIO(as_csv([as_dict(Failure(Path(name), "the file is missing"))])))
    assert row["file"] == f"./{name}" and Path(row["file"]) == Path(name)


TAG = "<img src=x onerror=alert(1)>"


def test_no_name_is_a_tag_in_the_report() -> None:
    table = Table(
        "t", TAG, TAG, [TAG, "p"], [[Entry(TAG), Entry("< .001")]], pd.DataFrame({"a": [TAG]}), groups=[(TAG, 2)]
    )
    page = Page(Conclusion(TAG, [TAG]), TAG, [Section("Data", [table])], {TAG: TAG}, TAG, {})
    assert TAG not in page.html() and "&lt;img src=x" in page.html()
    rows = [line for line in page.markdown().splitlines() if line.startswith("| ") and "onerror" in line]
    assert len(rows) == 3 and TAG not in rows[0] + rows[1] and "< .001" in page.markdown()


def test_what_is_kept_comes_back_as_it_was() -> None:
    """Of every kind that a stage keeps; classes are those that the function says it returns."""
    from pipeline.faces.forged import Refused
    from pipeline.faces.landmarks import track
    from pipeline.faces.sampled import Searched, find_video
    from pipeline.faces.tracks import Track
    from pipeline.sources import clips

    searched = Searched([(1, 2, 3, 4, ""), (2, None, None, None, "no")], [Refused("a", "b", 3, "c")], 2)
    assert kept.unpack(kept.pack(searched), partial(find_video, keep=Path())) == searched
    found = Track(np.array([True, False]), np.array([[[0.1, np.nan]] * 68] * 2))
    again = kept.unpack(kept.pack(found), track)
    np.testing.assert_array_equal(again.points, found.points)
    np.testing.assert_array_equal(again.found, found.found)
    assert again.found.dtype == bool
    stored = [{"video": "a", "fps": 29.97, "n": np.int64(3), "none": None}, clips.Refused("b", "too short")]
    assert kept.unpack(kept.pack(stored), clips.store) == stored
    info = video_info()
    assert kept.unpack(kept.pack(info), examine) == info
    with pytest.raises(KeyError):
        kept.unpack(kept.pack(searched), half)
    with pytest.raises(TypeError, match="a set cannot be kept"):
        kept.pack({1, 2})


def video_info() -> object:
    from fractions import Fraction

    from pipeline.videos.probing import VideoInfo

    return VideoInfo(9, Fraction(30000, 1001), 64, 48, "h264", "yuv420p", True, pixel=Fraction(16, 15), stream=12)

"""Files as they lie in people's folders: each is used or listed with its cause, and the others go on."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from pipeline.videos.manifests import read_manifest, read_rejected
from tests.aids.clips import ffmpeg, pictures, write_clip
from tests.aids.refusing import refusal, snapshot
from tests.bad_input.test_tables import params

PICTURE = ["-f", "lavfi", "-i", "testsrc2=s=96x80:r=25:d=0.8"]
FRAMES = 20


def made(*options: object) -> Callable[[Path], None]:
    return lambda path: ffmpeg(*PICTURE, *options, path)


def content(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data)


def of(good: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """A good file of the folder, changed."""
    return lambda path: path.write_bytes(change((path.parent / good).read_bytes()))


def zeroed(data: bytes) -> bytes:
    at = len(data) // 2
    return data[:at] + bytes(512) + data[at + 512 :]


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's path has 107 bytes
        one.bind(path.name)
        os.chdir(here)


# name -> how it is made, and what is said of it; None: it is used.
FILES: dict[str, tuple[Callable[[Path], object], str | None]] = {
    "good.mp4": (made("-c:v", "libx264"), None),
    "good.mkv": (made("-c:v", "libx264"), None),
    "odd.mkv": (made("-vf", "scale=95:79", "-c:v", "ffv1"), None),
    "really-mkv.mp4": (of("good.mkv", lambda data: data + bytes(1)), None),  # a copy would be the same video
    "no-suffix": (of("good.mp4", lambda data: data + bytes(2)), None),
    "line\nbreak.mp4": (of("good.mp4", lambda data: data + b"\0\0\0\x09free1"), None),
    "-y.mp4": (of("good.mp4", lambda data: data + b"\0\0\0\x09free2"), None),
    "$(touch it-ran);`touch it-ran`'\".mp4": (of("good.mp4", lambda data: data + b"\0\0\0\x09free3"), None),
    os.fsdecode(b"caf\xe9.mp4"): (of("good.mp4", lambda data: data + b"\0\0\0\x09free4"), None),
    "%s %d.mp4": (of("good.mp4", lambda data: data + b"\0\0\0\x09free5"), None),
    "empty.mp4": (content(b""), "the file is empty (0 bytes)"),
    "text.mp4": (content(b"no video, but a long text\n" * 99), "not readable as a video"),
    "page.mp4": (content(b"<!DOCTYPE html><html>404</html>" * 99), "not readable as a video"),
    "zeros.mp4": (content(bytes(50_000)), "not readable as a video"),
    "noise.mp4": (content(os.urandom(0) + bytes(range(256)) * 200), "not readable as a video"),
    "script.mp4": (content(b"#!/bin/sh\ntouch it-ran\n"), "not readable as a video"),
    "playlist.m3u8": (content(b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\ngood.mp4\n#EXT-X-ENDLIST\n"), "playlist"),
    "concat.mp4": (content(b"ffconcat version 1.0\nfile good.mp4\n"), "no video"),
    "archive.mp4": (content(b"PK\3\4" + bytes(2000)), "not readable as a video"),
    "headless.mp4": (of("good.mp4", lambda data: data[: len(data) // 2]), "not readable as a video"),
    "cut.mkv": (of("good.mkv", lambda data: data[: len(data) * 2 // 3]), "damaged or cut short"),
    "sector.mkv": (of("good.mkv", zeroed), "damaged or cut short"),
    "tail.mkv": (of("good.mkv", lambda data: data[: len(data) * 2 // 3] + bytes(len(data) // 3)), "damaged"),
    "one-frame.mkv": (made("-frames:v", "1", "-c:v", "ffv1"), "only 1 frames; at least 8 are needed"),
    "short.mkv": (made("-frames:v", "7", "-c:v", "ffv1"), "only 7 frames; at least 8 are needed"),
    "one-pixel.mkv": (made("-vf", "scale=1:1", "-c:v", "ffv1"), "1x1 px: too small"),
    "sound.mp4": (lambda path: ffmpeg("-f", "lavfi", "-i", "sine=d=0.3", path), "no video stream"),
    "photo.jpg": (made("-frames:v", "1"), "no video: a picture"),
    "photo.mp4": (lambda path: (ffmpeg(*PICTURE, "-frames:v", 1, "-q:v", 9, path.with_name("p.jpg")),
                                path.with_name("p.jpg").rename(path)), "no video"),
    "folder.mp4": (Path.mkdir, ""),
    "broken-link.mp4": (lambda path: path.symlink_to("nowhere.mp4"), "a link to nowhere.mp4, which is not there"),
    "circle.mp4": (lambda path: path.symlink_to(path.name), "cannot be read"),
    "second-name.mp4": (lambda path: path.symlink_to("good.mkv"), "another name of good.mkv, which is used"),
    "pipe.mp4": (os.mkfifo, "no file: a pipe, a socket or a device"),
    "socket.mp4": (listening, "no file: a pipe, a socket or a device"),
    "device.mp4": (lambda path: path.symlink_to("/dev/zero"), "no file: a pipe, a socket or a device"),
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them in one folder, through the download stage."""
    from pipeline.params.schema import load
    from pipeline.sources.registry import download

    root = tmp_path_factory.mktemp("bad")
    videos = root / "videos"
    videos.mkdir()
    for name, (make, _) in FILES.items():
        make(videos / name)
    (videos / "folder.mp4/inside.mkv").write_bytes((videos / "odd.mkv").read_bytes() + bytes(9))
    before = {path.name: path.lstat().st_size for path in videos.iterdir()}
    params(root, "folder", path=str(videos), clip_frames=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        download(load("params.yaml"), "original", Path("raw"))
    assert {path.name: path.lstat().st_size for path in videos.iterdir()} == before
    assert not list(root.rglob("it-ran")) and not list(root.rglob("*.part"))
    return root


def told(run: Path, name: str) -> list[str]:
    """The causes with which a file is listed: its name in the table is made of its letters."""
    from pipeline.sources.names import of_files

    (plain,) = of_files([name])
    table = read_rejected(run / "raw")
    mine = [plain, name.replace(".", "-")]
    return [cause for video, cause in zip(table["video"], table["cause"], strict=True) if video in mine]


@pytest.mark.parametrize("name", FILES, ids=ascii)
def test_a_file_is_used_or_listed_with_its_cause(name: str, run: Path) -> None:
    says = FILES[name][1]
    used = {str(text) for text in read_manifest(run / "raw")["parameters"]}
    from pipeline.sources.names import readable

    here = [text for text in used if f'"file":{_json(readable(name))}' in text]
    if says is None:
        assert len(here) == 1 and not told(run, name)
    elif says:
        (cause,) = told(run, name)
        assert not here and says in cause and "\n" not in cause and "0x" not in cause, cause
    else:
        assert any("inside" in text for text in used) and not told(run, name)


def _json(text: str) -> str:
    import json

    return json.dumps(text)


def test_every_file_is_counted_once(run: Path) -> None:
    used, rejected = read_manifest(run / "raw"), read_rejected(run / "raw")
    assert len(used) + len(rejected) == len(FILES)  # the folder counts for the file in it
    assert not set(used["video"]) & set(rejected["video"]) and not rejected["video"].duplicated().any()
    assert (used["frames"] == FRAMES).all()
    assert sorted(path.stem for path in (run / "raw").glob("*.mp4")) == sorted(used["video"])


@pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_listed(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        write_clip(tmp_path / "videos" / name, pictures(8, ord(name[0])), 25, (96, 80))
    (tmp_path / "videos/c.mp4").chmod(0)
    params(tmp_path, "folder", path=str(tmp_path / "videos"), clip_frames=None)
    from pipeline.params.schema import load
    from pipeline.sources.registry import SOURCES

    clips, refused = SOURCES["folder"](load(tmp_path / "params.yaml")).clips("original")
    assert len(clips) == 2 and "may not be read: permission denied" in refused[0].cause


BAD = [name for name, (_, says) in FILES.items() if says and "link" not in name and "circle" not in name]


@pytest.mark.parametrize("names", [BAD[:1], BAD[:8], ["photo.jpg"]], ids=str)
def test_where_no_file_is_left_the_first_cause_is_told(names: list[str], run: Path, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    for name in names:
        shutil.copy(run / "videos" / name, tmp_path / "videos")
    params(tmp_path, "folder", path=str(tmp_path / "videos"))
    line = refusal(tmp_path, "download", "--set", "original", "--out", "raw")
    assert "no usable video in" in line and f"the first of {len(names)}: " in line


def test_a_video_that_is_damaged_between_stages_is_listed_by_each(run: Path, tmp_path: Path) -> None:
    """As after a fault of the disk, or by somebody's hand: of three videos one is left."""
    from pipeline.videos.compression import compress
    from pipeline.videos.manifests import write_manifest

    raw = Path(shutil.copytree(run / "raw", tmp_path / "raw"))
    rows = read_manifest(raw).iloc[:3]
    write_manifest(raw, [{str(k): v for k, v in row.items()} for row in rows.to_dict("records")])
    cut, gone, _ = (raw / f"{video}.mp4" for video in rows["video"])
    cut.write_bytes(cut.read_bytes()[:900])
    gone.unlink()
    assert compress(raw, tmp_path / "c40", 40, "c40", workers=1) == (1, 2)
    causes = read_rejected(tmp_path / "c40")["cause"]
    assert "the file is missing" in set(causes) and causes.str.len().max() < 300
    raw = raw.rename(tmp_path / "original")
    params(tmp_path, "folder")
    row = {"set": "original", "video": cut.stem, "person": "p", "bucket": "b0", "label": 0, "target": "", "frame": 1}
    frames = pd.DataFrame([row])
    frames.to_parquet(tmp_path / "frames.parquet")
    line = refusal(tmp_path, "detect", "--videos", "original", "--frames", "frames.parquet", "--out", "faces")
    assert "no face in any of the 1 sampled frames" in line and not [n for n in snapshot(tmp_path) if "faces" in n]

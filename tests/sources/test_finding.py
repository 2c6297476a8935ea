"""Folders as people have them: links, pipes, what may not be read, names in other encodings, what is no video."""

# ruff: noqa: F401, F811 (a fixture of another file)

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pipeline.sources import finding
from pipeline.sources import registry as sources
from pipeline.sources.finding import find
from pipeline.sources.tables import Files, read_table
from pipeline.videos.manifests import read_manifest, read_rejected
from pipeline.videos.reading import probe
from pipeline.work.errors import UserError, VideoError
from tests.aids.clips import ffmpeg
from tests.sources.test_sources import Make, make, video

Causes = dict[str, str]


def download(params: object, out: Path, name: str = "original") -> tuple[dict[str, str], Causes]:
    """The people by video, and the causes by video."""
    sources.download(params, name, out)
    manifest, rejected = read_manifest(out), read_rejected(out)
    return dict(zip(manifest["video"], manifest["person"], strict=True)), dict(
        zip(rejected["video"], rejected["cause"], strict=True)
    )


def test_links_are_followed_and_nothing_is_used_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, other = tmp_path / "videos", tmp_path / "other"
    for file in (root / "a.mp4", root / "in/b.mp4", other / "c.mp4", other / "deep/d.mp4"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(file.name)
    (root / "more").symlink_to(other)
    (root / "again").symlink_to(other)
    (root / "zz.mp4").symlink_to(other / "c.mp4")
    (root / "0.mp4").symlink_to(root / "a.mp4")
    os.link(root / "a.mp4", root / "hard.mp4")
    (root / "self").symlink_to(root)
    (root / "up").symlink_to("..")
    (other / "back").symlink_to(root / "in")
    (root / "broken").symlink_to("nowhere")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as open_socket:
        monkeypatch.chdir(root)  # the path of a socket is short
        open_socket.bind("socket.mp4")
    for quiet in (".DS_Store", "Thumbs.db", "people.csv", ".hidden/e.mp4"):
        (root / quiet).parent.mkdir(exist_ok=True)
        (root / quiet).touch()
    found = find(root)
    assert found.once() == ["a.mp4", "again/c.mp4", "again/deep/d.mp4", "in/b.mp4"]
    assert found.left_out == {
        "0.mp4": "another name of a.mp4, which is used",
        "again/back": "the same folder as in, which is looked into",
        "broken": "a link to nowhere, which is not there",
        "hard.mp4": "another name of a.mp4, which is used",
        "loop": "cannot be read: Too many levels of symbolic links",
        "more": "the same folder as again, which is looked into",
        "pipe.mp4": "no file: a pipe, a socket or a device",
        "self": "the same folder as ., which is looked into",
        "socket.mp4": "no file: a pipe, a socket or a device",
        "up": "a link to a folder that holds this one",
        "zz.mp4": "another name of again/c.mp4, which is used",
    }
    assert find(root).once(["zz.mp4", "hard.mp4"]) == ["again/deep/d.mp4", "hard.mp4", "in/b.mp4", "zz.mp4"]


def test_a_copy_is_nobody_elses_video(make: Make, tmp_path: Path) -> None:
    """Two people with one video could be trained on and tested; one byte more makes it another."""
    for name in ("ann.mp4", "ben.mp4"):
        video(tmp_path / "videos" / name)
    data = (tmp_path / "videos/ann.mp4").read_bytes()
    (tmp_path / "videos/zoe.mp4").write_bytes(data)
    (tmp_path / "videos/zed.mp4").write_bytes(data + bytes(8))
    people, causes = download(make(), tmp_path / "out")
    assert set(people.values()) == {"ann", "ben", "zed"}
    assert causes == {"zoe-mp4": "the same bytes as ann.mp4, which is used in its place"}


def test_a_folder_that_may_not_be_read_is_told(
    make: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The system asks nobody who is root, so the refusal is made here."""
    for name in ("a.mp4", "b.mp4", "shut/c.mp4"):
        video(tmp_path / "videos" / name)
    scan = os.scandir

    def refuse(path: Path) -> object:
        if path == tmp_path / "videos/shut":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(finding.os, "scandir", refuse)
    table = tmp_path / "people.csv"
    table.write_text("file,person\na.mp4,Ann\nb.mp4,Bob\nshut/c.mp4,Cleo\n")
    people, causes = download(make(people=str(table)), tmp_path / "out")
    assert people == {"a": "Ann", "b": "Bob"}
    assert causes == {"shut": "may not be read: permission denied"}


def test_a_file_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = video(tmp_path / "v.mp4", frames=8)
    monkeypatch.setattr(os, "access", lambda place, mode: place != path)
    with pytest.raises(VideoError, match="the file may not be read: permission denied"):
        probe(path)


def test_names_in_other_encodings_are_used_and_found(make: Make, tmp_path: Path) -> None:
    """Latin-1 on the disk; accents composed here and not there; Windows' backslashes; two that differ only so."""
    (tmp_path / "videos/in").mkdir()
    for name in ("Andr\udce9.mp4", "Zo\u0308e.mp4", "in/ben.mp4", "Re\u0301.mp4", "R\u00e9.mp4"):
        video(tmp_path / "videos" / name, frames=8)
    people, causes = download(make(), tmp_path / "out")
    assert {"Andre", "Zoe", "in-ben"} < people.keys() and len(people) == 5 and not causes
    files = set(read_manifest(tmp_path / "out")["parameters"])
    assert '{"file":"Andr\\u00e9.mp4","first_frame":0}' in files

    table = tmp_path / "people.csv"
    rows = "file,person\r\nAndr\u00e9.mp4,Andr\u00e9\r\nZ\u00f6e.mp4,Zoe\r\nin\\ben.mp4,Ben\r\nR\u00e9.mp4,One\r\n"
    for encoding in ("utf-16", "cp1252"):
        table.write_bytes(rows.encode(encoding))
        people, causes = download(make(people=str(table)), tmp_path / encoding)
        assert {"Andre", "Zoe", "in-ben"} < people.keys()
        assert sorted(people.values()) == ["Andre", "Ben", "One", "Zoe"]
        assert list(causes.values()) == ["folder.people does not list Re\u0301.mp4"]


def test_fakes_and_their_targets_are_found_by_names_written_elsewhere(make: Make, tmp_path: Path) -> None:
    for name in ("Zo\u0308e.mp4", "ben.mp4"):
        video(tmp_path / "videos" / name)
    video(tmp_path / "fakes/sub/Zo\u0308e swap.mp4", shade=1)
    (tmp_path / "fakes/map.csv").write_text("file,manipulation,target\nsub\\Z\u00f6e swap.mp4,swap,Z\u00f6e.mp4\n")
    people, causes = download(make(fakes=str(tmp_path / "fakes/map.csv")), tmp_path / "out", "swap")
    assert list(people.values()) == ["Zoe"] and not causes


def test_what_a_table_means(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "t.csv").write_bytes("person, file\nZo\u00eb,a \u00e9.mp4\n\n".encode(encoding))
        table = read_table(tmp_path / "t.csv", "folder.people", ["file", "person"], ["donor"])
        assert table.to_dict("records") == [{"file": "a \u00e9.mp4", "person": "Zo\u00eb", "donor": ""}]
    files = Files(["x/1.mp4", "Zo\u0308e.mp4", "Re\u0301.mp4", "R\u00e9.mp4", "Andr\udce9.mp4", " blank.mp4"])
    assert files.find("x\\1.mp4") == files.find("./x/1.mp4") == "x/1.mp4"
    assert files.find("Z\u00f6e.mp4") == "Zo\u0308e.mp4"
    assert files.find("R\u00e9.mp4") == "R\u00e9.mp4" and files.find("Re\u0301.mp4") == "Re\u0301.mp4"
    assert files.find("R\udce9.mp4") == "R\u00e9.mp4"
    assert files.find("Andr\u00e9.mp4") == "Andr\udce9.mp4" and files.find("blank.mp4") == " blank.mp4"
    assert files.find("X/1.mp4") is None


def test_sidecars_change_no_name_and_nobody_is_unnamed(make: Make, tmp_path: Path) -> None:
    for name in ("a.mp4", "in/b.mp4", "c.mp4"):
        video(tmp_path / "videos" / name)
    (tmp_path / "videos/a.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nhello\n")
    (tmp_path / "videos/a.jpg").write_text("")
    people, causes = download(make(), tmp_path / "out")
    assert people == {"a": "a", "c": "c", "in-b": "in-b"} and sorted(causes) == ["a-jpg", "a-srt"]
    table = tmp_path / "people.csv"
    table.write_text("file,person\na.mp4,Ann\nin/b.mp4,Bob\nc.mp4,\n")
    people, causes = download(make(people=str(table)), tmp_path / "out")
    assert people == {"a": "Ann", "in-b": "Bob"} and causes["c-mp4"] == "folder.people names no person for c.mp4"
    table.write_text("file,person\na.mp4,Zo\u00eb\nin/b.mp4,Zoe\u0308\nc.mp4,Bob\n")
    assert set(download(make(people=str(table)), tmp_path / "out")[0].values()) == {"Zoe", "Bob"}
    table.write_text("file,person\na.mp4,Ann\n./a.mp4,Bob\n")
    with pytest.raises(UserError, match=r"lists \./a\.mp4 twice"):
        sources.download(make(people=str(table)), "original", tmp_path / "out")
    with pytest.raises(UserError, match="2 buckets need as many people"):
        sources.download(make(people="folders"), "original", tmp_path / "out")


SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5 RTP/AVP 96\n"
NO_VIDEO: dict[str, tuple[str, Callable[[Path], object]]] = {
    "transcript.txt": ("a text", lambda p: p.write_text("[00:01] Speaker 1: what was said\n" * 4000)),
    "list.m3u8": (
        "a playlist",
        lambda p: p.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nv.ts\n#EXT-X-ENDLIST\n"),
    ),
    "list.ffconcat": ("a playlist", lambda p: p.write_text("ffconcat version 1.0\nfile v.ts\n")),
    "stream.sdp": ("a playlist", lambda p: p.write_text(SDP)),
    "words.srt": ("subtitles", lambda p: p.write_text("1\n00:00:01,000 --> 00:00:02,000\nhello\n")),
    "words.vtt": ("subtitles", lambda p: p.write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nhello\n")),
    "words.ass": ("subtitles", lambda p: p.write_text("[Script Info]\nScriptType: v4.00+\n")),
    "drawing.svg": (
        "a picture",
        lambda p: p.write_text('<svg xmlns="http://www.w3.org/2000/svg"/>'),
    ),
    "many%03d.jpg": ("a picture", lambda p: ffmpeg("-i", p.with_name("v.ts"), "-frames:v", 1, "-update", 1, p)),
    "moving.gif": ("a picture", lambda p: ffmpeg("-i", p.with_name("v.ts"), p)),
    "moving.apng": ("a picture", lambda p: ffmpeg("-i", p.with_name("v.ts"), p)),
    "scanned.pdf": ("photos inside another kind of file", lambda p: Image.new("RGB", (96, 80)).save(p)),
    "pixels.yuv": ("pixels without a header", lambda p: p.write_bytes(bytes(400_000))),
}


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stream")
    ffmpeg("-i", video(folder / "v.mp4"), "-c", "copy", folder / "v.ts")
    return folder / "v.ts"


@pytest.mark.parametrize("name", NO_VIDEO)
def test_what_is_no_video_is_told(name: str, stream: Path) -> None:
    """Each by what it holds, so also under another name; the stream that a playlist names lies beside it."""
    what, make_it = NO_VIDEO[name]
    path = stream.with_name(name)
    make_it(path)
    with pytest.raises(VideoError, match=f"^no video: {what}"):
        probe(path)


@pytest.mark.parametrize(
    "suffix", ["mov", "mkv", "avi", "m2ts", "flv", "wmv", "mpg", "ogv", "mxf", "mjpeg", "h264", "y4m"]
)
def test_videos_of_all_containers_are_read(suffix: str, stream: Path) -> None:
    path = stream.with_name(f"copy.{suffix}")
    codec = ("-c:v", "ffv1") if suffix == "mkv" else ()
    ffmpeg("-i", stream, "-vf", "scale=96:80", *codec, path)
    assert probe(path).frames == 20
    path.rename(path.with_suffix(".txt"))
    if suffix != "mjpeg":  # whose first bytes are a photo's
        assert probe(path.with_suffix(".txt")).frames == 20

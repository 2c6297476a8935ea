"""The source `folder` on videos made here, good and bad; the sample's tables; how clips are spread."""

from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.params import schema as params
from pipeline.sources import registry as sources
from pipeline.sources import sample
from pipeline.sources.clips import place_clips
from pipeline.sources.looking import look
from pipeline.videos.manifests import read_manifest, read_rejected
from pipeline.videos.reading import probe, read_frames
from pipeline.work.errors import UserError
from pipeline.work.parallel import Rejected
from tests.aids.clips import ffmpeg, write_clip
from tests.aids.processes import noted, wait_until
from tests.aids.started import Started, hashes, straight

ROOT = Path(__file__).parents[2]
Make = Callable[..., params.Params]


def video(path: Path, frames: int = 20, size: tuple[int, int] = (64, 48), shade: int = 0) -> Path:
    """Frame i is an even grey of 6 * i + shade, so that a decoded frame tells which one it was."""
    images = (np.full((size[1], size[0], 3), 6 * i + shade, np.uint8) for i in range(frames))
    about = {"comment": ascii(f"{path.parent.name}/{path.name}")}  # no two of a folder have the same bytes
    write_clip(path, images, Fraction(25), size, metadata=about)
    return path


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Params of a folder source on tmp_path/videos; keywords change its section."""
    (tmp_path / "videos").mkdir()
    defaults = params.load(ROOT / "params.yaml")

    def with_folder(**changes: object) -> params.Params:
        folder = {"path": str(tmp_path / "videos"), "people": None, "fakes": None, "clip_frames": None}
        section = defaults.folder.model_copy(update=folder | changes)
        split = defaults.split.model_copy(update={"buckets": 2})
        return defaults.model_copy(update={"source": "folder", "folder": section, "split": split, "workers": 1})

    return with_folder


def first_shades(path: Path) -> list[int]:
    return [round(float(image.mean()) / 6) for _, image in read_frames(path)]


def test_a_folder_of_all_kinds_of_files(make: Make, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    video(videos / "a.mp4")
    video(videos / "a.mov.mp4")  # a container's name inside another
    source = video(tmp_path / "source.mp4", size=(66, 50))
    (videos / "deep/er").mkdir(parents=True)
    ffmpeg("-i", source, "-c:v", "mjpeg", "-vf", "scale=67:51", videos / "deep/er/odd siz\u00e9.avi")
    ffmpeg("-display_rotation", "90", "-i", source, "-c", "copy", videos / "turned.mp4")
    ffmpeg("-i", source, "-c:v", "libx264", "-pix_fmt", "yuv420p10le", videos / "ten bits.mkv")
    (videos / "empty.mp4").touch()
    (videos / "text.mp4").write_text("no video")
    (videos / "cut short.mkv").write_bytes((videos / "ten bits.mkv").read_bytes()[:1500])
    ffmpeg("-f", "lavfi", "-i", "sine=duration=0.2", videos / "sound.wav")
    ffmpeg("-i", source, "-frames:v", "1", videos / "photo.png")
    (videos / ".hidden.mp4").touch()
    (videos / "notes.csv").touch()

    outcome = sources.download(make(), "original", tmp_path / "out/original")
    rows = read_manifest(tmp_path / "out/original").set_index("video")
    assert list(rows.index) == ["a", "a-mov", "deep-er-odd-size", "ten-bits", "turned"]
    assert set(rows["person"]) == set(rows.index)
    assert (rows["label"] == 0).all()
    assert set(rows["bucket"]) == {"b0", "b1"}
    for name, row in rows.iterrows():
        info = probe(tmp_path / f"out/original/{name}.mp4")
        assert (info.frames, info.fps, info.pix_fmt, info.constant) == (20, 25, "yuv420p", True)
        assert (info.width, info.height) == (row["width"], row["height"])
    sizes = rows[["width", "height"]].apply(tuple, axis=1)
    assert sizes["deep-er-odd-size"] == (66, 50)
    assert sizes["turned"] == (50, 66)
    rejected = read_rejected(tmp_path / "out/original").set_index("video")
    assert list(rejected.index) == ["cut-short-mkv", "empty-mp4", "photo-png", "sound-wav", "text-mp4"]
    assert set(rejected["set"]) == {"original"}
    assert set(rejected["stage"]) == {"download"}
    assert "empty" in rejected.at["empty-mp4", "cause"]
    assert rejected.at["photo-png", "cause"] == "no video: a picture"
    assert "no video stream" in rejected.at["sound-wav", "cause"]
    assert all(rejected["cause"])
    assert outcome == "original: 5 videos of 5 people (b0 2, b1 3), 5 rejected"


def test_clips_are_spread_and_scaled_down(make: Make, tmp_path: Path) -> None:
    video(tmp_path / "videos/a.mp4", frames=40)
    video(tmp_path / "videos/b.mp4", frames=12)
    sources.download(make(clip_frames=12, clips_per_video=3, max_side=32), "original", tmp_path / "out")
    rows = read_manifest(tmp_path / "out").set_index("video")
    assert dict(rows["frames"]) == {"a_00": 12, "a_01": 12, "a_02": 12, "b_00": 12}
    assert set(zip(rows["width"], rows["height"], strict=True)) == {(32, 24)}
    assert [first_shades(tmp_path / f"out/a_0{k}.mp4") for k in range(3)] == [
        list(range(first, first + 12)) for first in (0, 14, 28)
    ]


def test_people_come_from_a_table_or_from_folders(make: Make, tmp_path: Path) -> None:
    for name in ("x/1.mp4", "x/2.mp4", "y/1.mp4", "y/stranger.mp4"):
        video(tmp_path / "videos" / name)
    sources.download(make(people="folders"), "original", tmp_path / "out")
    assert list(read_manifest(tmp_path / "out")["person"]) == ["x", "x", "y", "y"]

    table = tmp_path / "people.csv"
    table.write_text("file,person\nx/1.mp4,Ann Li\nx/2.mp4, Bob\ny/1.mp4,Ann Li\n")
    sources.download(make(people=str(table)), "original", tmp_path / "out")
    rows = read_manifest(tmp_path / "out").set_index("video")
    assert dict(rows["person"]) == {"x-1": "Ann-Li", "x-2": "Bob", "y-1": "Ann-Li"}
    assert rows.at["x-1", "bucket"] == rows.at["y-1", "bucket"] != rows.at["x-2", "bucket"]
    assert "does not list" in read_rejected(tmp_path / "out").set_index("video").at["y-stranger-mp4", "cause"]

    table.write_text("file,person\nx/3.mp4,Ann\n")
    with pytest.raises(UserError, match=r"folder\.people: x/3\.mp4 is not a real video"):
        sources.download(make(people=str(table)), "original", tmp_path / "out")
    table.write_text("file,who\nx/1.mp4,Ann\n")
    with pytest.raises(UserError, match="lacks the column person"):
        sources.download(make(people=str(table)), "original", tmp_path / "out")
    assert len(read_manifest(tmp_path / "out")) == 3  # a failure leaves what was there


def test_fakes_follow_their_targets(make: Make, tmp_path: Path) -> None:
    people = {"ann": ("a1", "a2"), "bob": ("b1",), "cleo": ("c1",), "dan": ("d1",)}
    table = tmp_path / "people.csv"
    table.write_text("file,person\n" + "".join(f"{v}.mp4,{p}\n" for p, vs in people.items() for v in vs))
    for names in people.values():
        for name in names:
            video(tmp_path / f"videos/{name}.mp4", frames=40)
    options = {"people": str(table), "clip_frames": 16, "clips_per_video": 2}
    sources.download(make(**options), "original", tmp_path / "original")
    reals = read_manifest(tmp_path / "original").set_index("video")
    bucket = reals.groupby("person")["bucket"].first()
    mate = next(p for p in ("bob", "cleo", "dan") if bucket[p] == bucket["ann"])
    other = next(p for p in ("bob", "cleo", "dan") if bucket[p] != bucket["ann"])

    fakes = tmp_path / "videos/fakes"  # inside the folder of reals: they are not taken for reals
    video(fakes / "good.mp4", frames=40, shade=1)
    video(fakes / "short.mp4", frames=39)
    video(fakes / "small.mp4", frames=40, size=(32, 24))
    (fakes / "map.csv").write_text(
        "file,manipulation,target,donor\n"
        f"good.mp4,swap,a1.mp4,{people[mate][0]}.mp4\n"
        "short.mp4,swap,a1.mp4,\n"
        "small.mp4,swap,a1.mp4,\n"
        "gone.mp4,swap,a1.mp4,\n"
        "gone.mp4x,other,a1.mp4,\n"
    )
    options |= {"fakes": str(fakes / "map.csv")}
    sources.download(make(**options), "swap", tmp_path / "swap")
    rows = read_manifest(tmp_path / "swap").set_index("video")
    assert list(rows.index) == ["good_00", "good_01"]
    assert list(rows["target"]) == ["a1_00", "a1_01"]
    assert list(rows["donor"]) == [f"{people[mate][0]}_00", f"{people[mate][0]}_01"]
    assert set(rows["person"]) == {"ann"}
    assert set(rows["bucket"]) == {bucket["ann"]}
    assert set(rows["label"]) == {1}
    for k in range(2):
        assert first_shades(tmp_path / f"swap/good_0{k}.mp4") == first_shades(tmp_path / f"original/a1_0{k}.mp4")
    causes = read_rejected(tmp_path / "swap").set_index("video")["cause"]
    assert "39 frames, but its target has 64x48 px, 40 frames" in causes["short"]
    assert "32x24 px" in causes["small"]
    assert "missing" in causes["gone-mp4"]

    (fakes / "map.csv").write_text(f"file,manipulation,target,donor\ngood.mp4,swap,a1.mp4,{people[other][0]}.mp4\n")
    with pytest.raises(UserError, match=r"no usable video.*different buckets"):
        sources.download(make(**options), "swap", tmp_path / "swap")
    with pytest.raises(UserError, match="has original, swap, but no reenactment"):
        sources.download(make(**options), "reenactment", tmp_path / "reenactment")
    assert not (tmp_path / "reenactment").exists()


@pytest.mark.parametrize(("path", "message"), [(None, "not set"), ("nowhere", "not a folder"), ("videos", "no usable")])
def test_a_folder_that_is_not_there_is_told(make: Make, tmp_path: Path, path: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        sources.download(make(path=path and str(tmp_path / path)), "original", tmp_path / "out")


def test_a_killed_download_goes_on_and_leaves_the_same_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed with SIGKILL while it cuts clips; two of the videos are bad. One worker: more are test_resume's."""
    for number in range(8):
        video(tmp_path / f"videos/v{number}.mp4", frames=28)
    whole = (tmp_path / "videos/v3.mp4").read_bytes()
    (tmp_path / "videos/v3.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "videos/v4.mp4").write_bytes(b"")
    changes = [("source: sample ", "source: folder "), ("path: null        # your", f"path: {tmp_path}/videos  # your")]
    changes += [("clip_frames: 75", "clip_frames: 12")]

    def stage(out: str) -> list[str]:
        return ["download", "--set", "original", "--out", str(tmp_path / out)]

    work = straight(stage("whole"), tmp_path / "a", changes)
    told = capsys.readouterr().out
    scratch = tmp_path / "b/.scratch"
    first = Started(
        stage("killed"), tmp_path / "b", changes, workers=1, hold=len(work) - 3
    )  # the last six are the cuts
    wait_until(lambda: cuts(scratch) >= 3 or first.ended())
    first.kill()
    finished = cuts(scratch)
    assert finished == 3 and not (tmp_path / "killed").exists()
    last = Started(stage("killed"), tmp_path / "b", changes, workers=1).check()
    assert "cut original: goes on, 3 of 6 are done" in last
    assert last.splitlines()[-1] == told.splitlines()[-1]
    assert hashes(tmp_path / "killed") == hashes(tmp_path / "whole")
    assert len(read_manifest(tmp_path / "killed")) == 12 and len(read_rejected(tmp_path / "killed")) == 2
    assert [folder.name.partition("-")[0] for folder in scratch.iterdir()] == ["examined"]
    assert len(noted(tmp_path / "b")) - len(work) <= 2  # the one in flight, and the torn one is looked into again


def test_what_was_looked_into_is_not_looked_into_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [video(tmp_path / f"v{number}.mp4", frames=8 + number) for number in range(3)]

    def infos(names: str = "abc") -> Iterator[object]:
        return look("videos", paths, list(names), 1)

    def told() -> str:
        return capsys.readouterr().err

    killed = infos()
    next(killed)
    killed.close()
    assert [info.frames for info in infos()] == [8, 9, 10]
    assert "look into videos: goes on, 1 of 3 are done" in told()
    list(infos("xyz"))  # for another set, under other names
    assert "goes on, 3 of 3" in told()
    video(paths[1], frames=20)
    assert [info.frames for info in infos()] == [8, 20, 10]
    assert "goes on, 2 of 3" in told()
    paths[0].write_bytes(b"")
    assert [isinstance(info, Rejected) for info in infos()] == [True, False, False]
    told()
    list(infos())
    assert "goes on, 2 of 3" in told()  # what was wrong with a file may have been mended outside it


def cuts(scratch: Path) -> int:
    return len(list(scratch.glob("download-*/*.npz")))


@pytest.mark.parametrize(
    ("lengths", "frames", "clips", "expected"),
    [
        ([100], 20, 3, [(0, 0, 20), (0, 40, 20), (0, 80, 20)]),
        ([100], 20, 1, [(0, 40, 20)]),
        ([50], 20, 9, [(0, 0, 20), (0, 30, 20)]),
        ([10, 100], 20, 3, [(1, 0, 20), (1, 40, 20), (1, 80, 20)]),
        ([10, 30], 20, 5, [(0, 0, 10), (1, 5, 20)]),
        ([60, 90], 20, 3, [(0, 20, 20), (1, 0, 20), (1, 70, 20)]),
    ],
)
def test_clips_lie_apart(lengths: list[int], frames: int, clips: int, expected: list[tuple[int, int, int]]) -> None:
    assert place_clips(lengths, frames, clips) == expected


def test_the_samples_tables_fit_together() -> None:
    files, clips = pd.read_csv(sample.FILES), pd.read_csv(sample.CLIPS)
    assert clips["person"].nunique() == 10
    assert list(clips["person"]) == sorted(clips["person"])
    assert set(clips["file"]) == set(files["file"])
    assert files["sha256"].str.fullmatch("[0-9a-f]{64}").all()
    assert files["archive_sha256"].str.fullmatch("[0-9a-f]{64}").all()
    assert files[["licence", "credit"]].notna().all(axis=None)
    assert (clips["end"] - clips["start"] >= 2).all()
    assert (clips[["out_width", "out_height"]] % 2 == 0).all(axis=None)
    scales = clips["out_width"] / clips["width"]
    assert scales.between(0.3, 1.45).all()
    assert (scales / (clips["out_height"] / clips["height"])).between(0.98, 1.02).all()
    for (_, file), rows in clips.groupby(["person", "file"]):
        rows = rows.sort_values("start")
        assert (rows["start"].to_numpy()[1:] > rows["end"].to_numpy()[:-1]).all(), file


def test_the_samples_clips_are_cut_where_one_person_is_seen(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "fetch_files", lambda: {name: Path(name) for name in pd.read_csv(sample.FILES)["file"]})
    settings = make()
    options = settings.sample_source.model_copy(update={"clip_frames": 50, "clips_per_person": 3})
    source = sample.SampleSource(settings.model_copy(update={"sample_source": options}))
    clips, refused = source.clips("original")
    table = pd.read_csv(sample.CLIPS)
    assert not refused
    assert len({clip.video for clip in clips}) == len(clips) == 27
    assert len({clip.person for clip in clips}) == 10
    for clip in clips:
        rows = table[(table["person"] == clip.person) & (table["file"] == clip.file.name)]
        cut = clip.excerpt
        end = cut.start + cut.frames / 25
        inside = rows[(rows["start"] <= cut.start) & (end <= rows["end"] + 0.02)]
        assert len(inside) == 1, clip.video
        assert cut.crop == tuple(inside[["left", "top", "width", "height"]].iloc[0])


def test_the_samples_people_and_ones_own_are_divided_together(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sample, "fetch_files", lambda: {name: Path(name) for name in pd.read_csv(sample.FILES)["file"]})
    for name in ("ann", "ben", "cleo"):
        video(tmp_path / f"videos/{name}.mp4")
    (tmp_path / "videos/broken.mp4").write_bytes(b"")
    both = make().model_copy(update={"source": "sample_and_folder"})
    clips, refused = sources.SOURCES["sample_and_folder"](both).clips("original")
    assert [one.video for one in refused] == ["broken-mp4"]
    assert {clip.video for clip in clips} >= {"ann", "ben", "cleo", "speaker_centre_00"}
    buckets = {clip.person: clip.bucket for clip in clips}
    assert all(clip.bucket == buckets[clip.person] for clip in clips)
    assert sorted(Counter(buckets.values()).values()) == [6, 7]  # 13 people in two buckets
    many = both.model_copy(
        update={"split": both.split.model_copy(update={"buckets": 6})}
    )  # more than people of one's own
    clips, _ = sources.SOURCES["sample_and_folder"](many).clips("original")
    assert len({clip.bucket for clip in clips}) == 6

    video(tmp_path / "videos/speaker_centre_00.mp4")
    with pytest.raises(UserError, match="its video speaker_centre_00 has the name of one of the sample"):
        sources.SOURCES["sample_and_folder"](both).clips("original")
    with pytest.raises(UserError, match="forges all fakes"):
        sources.SOURCES["sample_and_folder"](
            both.model_copy(update={"folder": both.folder.model_copy(update={"fakes": "x.csv"})})
        )

"""Two faces are drawn and the smaller one is forged: from a folder's table of fakes to the shards."""

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pipeline.crops.cropping import crop_set
from pipeline.crops.shards import read_index, read_sample
from pipeline.faces.detection import Outcome, detect_set
from pipeline.faces.differences import difference
from pipeline.faces.forged import NO_TARGET, OTHER_FACE, SAME_FRAME, UNDECIDED
from pipeline.faces.sampled import Search, When
from pipeline.params import schema as params
from pipeline.sources.registry import download
from pipeline.videos.compression import compress
from pipeline.videos.manifests import read_manifest, read_rejected
from pipeline.videos.sampling import sample
from tests.aids.clips import raw_set, write_clip
from tests.aids.faces68 import draw, face68

Image = NDArray[np.uint8]
ROOT = Path(__file__).parents[2]
FRAMES = 8
SEARCH = Search(max_side=400, enlarge=1.3)
SIZE = (420, 220)
LARGE, SMALL = (110.0, 110.0), (330.0, 120.0)  # where the faces are, 130 and 62 px wide


def scene(number: int, forged: str = "", small: bool = True, large: bool = True) -> Image:
    """A frame with a large and a small face; of the forged ones the mouth is open and the skin another."""
    image = draw(face68((-500, -500), 10), SIZE, (0, 0, 0))
    for name, centre, width in (("large", LARGE, 130.0), ("small", SMALL, 62.0)):
        if not {"large": large, "small": small}[name]:
            continue
        changed = name in forged
        skin = (170, 150, 150) if changed else (200, 160, 140)
        face = draw(face68((centre[0] + number, centre[1]), width, opening=0.2 * changed), SIZE, skin)
        part = slice(0, 220) if name == "large" else slice(230, 420)
        image[:, part] = face[:, part]
    return image


def video(made: Callable[[int], Image], count: int = FRAMES) -> list[Image]:
    return [made(number) for number in range(count)]


def raw(folder: Path, frames: Mapping[str, list[Image]], target: str = "") -> Path:
    """A set of videos in which all are fakes of the target, if there is one."""
    about = {"target": target, "label": int(bool(target)), "person": target} if target else {}
    return raw_set(folder, {name: about for name in frames}, FRAMES, lambda _, n: frames[sorted(frames)[n]])


def sampled(folder: Path) -> pd.DataFrame:
    return sample(folder.name, read_manifest(folder), read_rejected(folder), FRAMES, 0)


def search(original: Path, out: Path, fakes: Mapping[Path, When]) -> tuple[Outcome, pd.DataFrame, pd.DataFrame]:
    """The outcome, the boxes and what was refused."""
    outcome = detect_set(original, sampled(original), out, SEARCH, workers=1, fakes=fakes)
    refused = out / "refused.parquet"
    return outcome, pd.read_parquet(out / "boxes.parquet"), pd.read_parquet(refused) if refused.exists() else None


def shows(boxes: pd.DataFrame) -> list[str]:
    """Which face the middle of each box lies in."""
    middle = boxes["left"] + boxes["size"] // 2
    return ["none" if pd.isna(x) else "large" if x < 220 else "small" for x in middle]


def test_from_a_folder_to_shards_the_forged_face_is_cropped(tmp_path: Path) -> None:
    """Target and fake are given as lossy files; the smaller face is forged; every crop labelled fake is altered."""
    videos, fakes = tmp_path / "videos", tmp_path / "fakes"
    for name in ("ann", "ben"):
        write_clip(videos / f"{name}.mp4", video(scene), 25, SIZE, crf=18 + (name == "ben"))  # no copies
        write_clip(fakes / f"{name}_swap.mp4", video(lambda n: scene(n, "small")), 25, SIZE, crf=20)
    (fakes / "fakes.csv").write_text(
        "file,manipulation,target\n" + "".join(f"{name}_swap.mp4,swap,{name}.mp4\n" for name in ("ann", "ben"))
    )
    settings = params.load(ROOT / "params.yaml")
    folder = {"path": str(videos), "fakes": str(fakes / "fakes.csv"), "clip_frames": None}
    changes = {"source": "folder", "folder": settings.folder.model_copy(update=folder), "workers": 1, "folds": (0, 1)}
    changes |= {"split": settings.split.model_copy(update={"buckets": 2})}
    changes |= {"forge": settings.forge.model_copy(update={"manipulations": ()})}
    for name in ("original", "swap"):
        download(settings.model_copy(update=changes), name, tmp_path / "raw" / name)
        assert compress(tmp_path / "raw" / name, tmp_path / "c40" / name, 40, "c40", workers=1) == (2, 0)
    outcome, boxes, refused = search(
        tmp_path / "raw/original", tmp_path / "faces/original", {tmp_path / "raw/swap": "always"}
    )
    assert outcome == (2 * FRAMES, 2 * FRAMES, 2 * FRAMES, 0) and refused is None
    assert shows(boxes) == ["small"] * (2 * FRAMES)
    crops = {}
    for name in ("original", "swap"):
        out, compressed = tmp_path / "shards" / name, {"c40": tmp_path / "c40" / name}
        table = sampled(tmp_path / "raw" / name)
        assert crop_set(table, tmp_path / "faces", tmp_path / "raw" / name, compressed, out, 64, 100, 1) == (
            2 * FRAMES,
            0,
        )
        for row in read_index([out]).itertuples():
            files = read_sample(row.path, row.offset, row.bytes)
            image = cv2.imdecode(np.frombuffer(files["raw.png"], np.uint8), cv2.IMREAD_COLOR)
            crops[name, row.target or row.video, row.frame] = np.asarray(image).astype(int)
    for (name, target, frame), crop in crops.items():
        if name == "swap":
            assert np.abs(crop - crops["original", target, frame])[16:48, 16:48].mean() > 10


@pytest.mark.parametrize("when", ["always", "unproved", "several"])
def test_the_largest_stays_where_it_is_the_forged_one(tmp_path: Path, when: When) -> None:
    """One box serves all manipulations of a target, and is the one that is found without fakes."""
    original = raw(tmp_path / "raw/original", {"a": video(scene)})
    fakes = {
        raw(tmp_path / f"raw/{name}", {f"a_{name}": video(lambda n: scene(n, "large"))}, "a"): when
        for name in ("one", "two")
    }
    _, before, _ = search(original, tmp_path / "before", {})
    outcome, boxes, refused = search(original, tmp_path / "after", fakes)
    assert outcome == (FRAMES, FRAMES, 0, 0) and refused is None
    pd.testing.assert_frame_equal(boxes, before)
    assert (tmp_path / "after/a.zip").read_bytes() == (tmp_path / "before/a.zip").read_bytes()


def test_fakes_of_one_face_are_not_compared_beyond_the_first_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.faces import forged

    original = raw(tmp_path / "raw/original", {"a": video(lambda n: scene(n, small=False))})
    fake = raw(tmp_path / "raw/fake", {"a_f": video(lambda n: scene(n, "large", small=False))}, "a")
    compared: list[int] = []
    monkeypatch.setattr(forged, "difference", lambda *images: compared.append(1) or difference(*images))
    for when, times in (("several", 0), ("unproved", forged.PROBE), ("always", FRAMES)):
        compared.clear()
        assert search(original, tmp_path / when, {fake: when})[0] == (FRAMES, FRAMES, 0, 0)
        assert len(compared) == times


def test_a_frame_whose_fake_is_its_target_is_no_fake(tmp_path: Path) -> None:
    """Nor is one in which a face is forged that another manipulation of the same target leaves alone."""
    original = raw(tmp_path / "raw/original", {"a": video(scene)})
    most = [raw(tmp_path / f"raw/{n}", {f"a_{n}": video(lambda k: scene(k, "small"))}, "a") for n in ("one", "two")]
    some = raw(tmp_path / "raw/some", {"a_s": video(lambda n: scene(n, "small" * (n >= 4)))}, "a")
    other = raw(tmp_path / "raw/other", {"a_o": video(lambda n: scene(n, "large"))}, "a")
    outcome, boxes, refused = search(
        original, tmp_path / "faces/original", {folder: "always" for folder in (*most, some, other)}
    )
    assert shows(boxes) == ["small"] * FRAMES
    assert outcome == (FRAMES, FRAMES, FRAMES, FRAMES + 4)
    assert refused[["set", "frame", "cause"]].values.tolist() == [
        *(["other", frame, OTHER_FACE] for frame in range(FRAMES)),
        *(["some", frame, SAME_FRAME] for frame in range(4)),
    ]
    assert compress(some, tmp_path / "c40", 40, "c40", workers=1) == (1, 0)
    crop_set(sampled(some), tmp_path / "faces", some, {"c40": tmp_path / "c40"}, tmp_path / "out", 64, 100, 1)
    assert read_index([tmp_path / "out"])["frame"].tolist() == list(range(4, FRAMES))
    listed = pd.read_parquet(tmp_path / "out/rejected.parquet")
    assert listed[["video", "frame", "stage", "cause"]].values.tolist() == [
        ["a_s", frame, "detect", SAME_FRAME] for frame in range(4)
    ]


def test_a_mark_on_the_fake_is_no_face(tmp_path: Path) -> None:
    def marked(number: int) -> Image:
        image = scene(number, "small")
        cv2.putText(image, "AI GENERATED", (4, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 2)
        return image

    original = raw(tmp_path / "raw/original", {"a": video(scene)})
    fake = raw(tmp_path / "raw/fake", {"a_f": video(marked)}, "a")
    outcome, boxes, refused = search(original, tmp_path / "faces/original", {fake: "unproved"})
    assert shows(boxes) == ["small"] * FRAMES and refused is None and outcome.chosen == FRAMES


def test_the_forged_face_is_followed_where_sizes_swap(tmp_path: Path) -> None:
    """The forged one is the larger in the first half, and alone with the detector's blind spot in the last frames."""

    def grown(number: int, forged: bool) -> Image:
        widths = (130.0, 90.0) if number < FRAMES // 2 else (90.0, 130.0)
        left = draw(face68((110, 110), widths[0], 0.2 * forged), SIZE, (170, 150, 150) if forged else (200, 160, 140))
        left[:, 220:] = draw(face68((320, 110), widths[1]), SIZE, (200, 160, 140))[:, 220:]
        return left

    original = raw(tmp_path / "raw/original", {"a": video(lambda n: grown(n, False))})
    fake = raw(tmp_path / "raw/fake", {"a_f": video(lambda n: grown(n, True))}, "a")
    _, before, _ = search(original, tmp_path / "before", {})
    assert shows(before) == ["large"] * (FRAMES // 2) + ["small"] * (FRAMES // 2)  # names of sides here
    outcome, boxes, refused = search(original, tmp_path / "after", {fake: "several"})
    assert shows(boxes) == ["large"] * FRAMES and refused is None
    assert outcome == (FRAMES, FRAMES, FRAMES // 2, 0)


def test_what_cannot_be_told_is_refused(tmp_path: Path) -> None:
    """The fake is its target with noise all over it; and a fake without a target shows two faces."""
    random = np.random.default_rng(0)

    def pair(number: int) -> Image:  # of like size: both are seen in one search
        image = draw(face68((110, 110), 120), SIZE, (200, 160, 140))
        image[:, 220:] = draw(face68((320, 110), 110), SIZE, (200, 160, 140))[:, 220:]
        return image

    def noisy(number: int) -> Image:
        return np.clip(pair(number) + random.integers(-12, 13, (220, 420, 3)), 0, 255).astype(np.uint8)

    original = raw(tmp_path / "raw/original", {"a": video(pair)})
    fake = raw(tmp_path / "raw/fake", {"a_f": video(noisy)}, "a")
    outcome, _, refused = search(original, tmp_path / "faces/original", {fake: "unproved"})
    assert outcome == (FRAMES, FRAMES, 0, FRAMES)
    assert set(refused["cause"]) == {UNDECIDED}
    alone = raw(tmp_path / "raw/alone", {"x": video(pair), "y": video(lambda n: scene(n, small=False))}, "gone")
    table = search(alone, tmp_path / "faces/alone", {})[1]
    assert table.groupby("video")["cause"].agg(set).to_dict() == {"x": {NO_TARGET}, "y": {""}}


def test_a_fake_that_cannot_be_compared_is_refused_and_the_rest_goes_on(tmp_path: Path) -> None:
    original = raw(tmp_path / "raw/original", {"a": video(scene)})
    good = raw(tmp_path / "raw/good", {"a_g": video(lambda n: scene(n, "small"))}, "a")
    torn = raw(tmp_path / "raw/torn", {"a_t": video(lambda n: scene(n, "small"))}, "a")
    (torn / "a_t.mp4").write_bytes((torn / "a_t.mp4").read_bytes()[:900])
    _, boxes, refused = search(original, tmp_path / "faces/original", {good: "unproved", torn: "unproved"})
    assert shows(boxes) == ["small"] * FRAMES
    assert set(refused["set"]) == {"torn"} and len(refused) == FRAMES


@pytest.mark.parametrize("crf", [0, 18, 26])
def test_codecs_do_not_pass_for_forgery(tmp_path: Path, crf: int) -> None:
    """Encoded twice, the same picture differs, but nowhere by as much as a forged face does."""
    from pipeline.videos.reading import read_frames

    texture = np.random.default_rng(1).integers(0, 90, (55, 105, 3)).astype(np.uint8).repeat(4, 0).repeat(4, 1)

    def textured(number: int, forged: str = "") -> Image:
        return cv2.addWeighted(scene(number, forged), 0.9, texture, 0.15, 0).astype(np.uint8)

    for name, forged in (("target", ""), ("same", ""), ("fake", "small")):
        write_clip(tmp_path / f"{name}.mp4", video(lambda n, f=forged: textured(n, f), 4), 25, SIZE, crf=18)
        if name != "target" and crf:
            again = [image for _, image in read_frames(tmp_path / f"{name}.mp4")]
            write_clip(tmp_path / f"{name}.mp4", again, 25, SIZE, crf=crf)
    (_, target), *_ = read_frames(tmp_path / "target.mp4", [2])
    (_, same), *_ = read_frames(tmp_path / "same.mp4", [2])
    (_, fake), *_ = read_frames(tmp_path / "fake.mp4", [2])
    assert not difference(same, target).significant
    found = difference(fake, target)
    place = found.place().centre
    assert found.significant and abs(place[0] - SMALL[0]) < 35 and abs(place[1] - SMALL[1]) < 35

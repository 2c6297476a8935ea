"""What the forge joins: light, colour and sides on their way into the frame, and what makes it refuse a fake."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.faces.tracks import Track, read_track, writing
from pipeline.forging import blending, faceswap, fakes, reenactment
from pipeline.forging.blending import BRIGHTER, SPREAD, fill_mouth, match_colours, match_light, paste, soft_mask
from pipeline.forging.donors import Clip, Donor, choose, generator
from pipeline.forging.fakes import make
from pipeline.forging.planning import Job, plan
from pipeline.forging.warping import MIRROR, Patches, cut_patches
from pipeline.videos.manifests import MANIFEST, read_manifest, write_manifest
from pipeline.videos.probing import VideoInfo
from pipeline.videos.reading import read_frames
from pipeline.videos.writing import write_video
from pipeline.work.errors import VideoError
from tests.aids.faces68 import draw, face68

SIZE, FRAMES = (128, 96), 8
SKIN = (200, 160, 140)
POINTS = face68((56, 56), 64, opening=0.1)


def noise(shape: tuple[int, ...], seed: int = 0, low: int = 40, high: int = 200) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.uint8)


def lab(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mean of Lab under a mask."""
    values = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return np.average(values.reshape(-1, 3), axis=0, weights=mask.ravel())


# ---------------------------------------------------------------- rounding and light


def test_pasting_neither_brightens_nor_darkens() -> None:
    """A fake whose every pixel lay half a level too low would be told by that alone."""
    frame, patch = noise((96, 96, 3)), noise((96, 96, 3), 1)
    mask, here = np.full((96, 96), 0.3, np.float32), np.array([[1.0, 0, 0], [0, 1, 0]])
    exact = frame + 0.3 * (patch.astype(float) - frame)
    assert abs((paste(frame, patch, mask, here) - exact).mean()) < 0.02


def test_filling_a_mouth_neither_brightens_nor_darkens() -> None:
    face, lender = noise((112, 112, 3)), noise((112, 112, 3), 1)
    mask = 0.37 * soft_mask(POINTS[60:68], 112, 0, blending.LIP_FEATHER)[..., None]
    exact = face + mask * (lender.astype(float) - face)
    found = fill_mouth(face, POINTS, lender, POINTS, 0.37)
    assert abs((found - exact)[mask[..., 0] > 0.05].mean()) < 0.05
    np.testing.assert_array_equal(found[mask[..., 0] == 0], face[mask[..., 0] == 0])


@pytest.mark.parametrize("match", [match_light, match_colours])
def test_a_face_in_its_own_light_stays_as_it_is(match: Any) -> None:
    faces = noise((3, 40, 40, 3))
    found = match(faces, faces, np.ones((3, 40, 40), np.float32)).astype(int) - faces
    assert np.abs(found).max() <= 1 and abs(found.mean()) < 0.02


@pytest.mark.parametrize("darker", [True, False])
def test_light_moves_towards_the_targets(darker: bool) -> None:
    """Its tint wholly; its brightness as far as the bounds allow, for a part of that is the skin's own."""
    mask = np.ones((1, 40, 40), np.float32)
    grey, warm = noise((1, 40, 40, 3), low=90, high=110), noise((1, 40, 40, 3), 1, 100, 120)
    warm[..., 2] -= 30
    ours, theirs = (grey, warm) if darker else (warm, grey)
    found = lab(match_light(ours, theirs, mask)[0], mask[0])
    before, wanted = lab(ours[0], mask[0]), lab(theirs[0], mask[0])
    assert np.abs(before - wanted)[1:].max() > 5
    np.testing.assert_allclose(found, wanted, atol=0.6)
    for bound, targets in zip(
        BRIGHTER, (noise((1, 40, 40, 3), 2, 20, 30), noise((1, 40, 40, 3), 2, 230, 240)), strict=True
    ):
        far = lab(match_light(grey, targets, mask)[0], mask[0])
        assert far[0] == pytest.approx(bound * lab(grey[0], mask[0])[0], abs=0.6)


def test_contrast_changes_within_its_bounds() -> None:
    """A flat face does not become a picture of noise, whatever the target's contrast."""
    mask = np.ones((1, 40, 40), np.float32)
    flat, rough = noise((1, 40, 40, 3), 0, 118, 134), noise((1, 40, 40, 3), 1, 40, 220)
    spread = [cv2.cvtColor(x[0].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 0].std()
              for x in (flat, match_colours(flat, rough, mask), rough, match_colours(rough, flat, mask))]  # fmt: skip
    assert spread[1] / spread[0] == pytest.approx(SPREAD[1], abs=0.1)
    assert spread[3] / spread[2] == pytest.approx(SPREAD[0], abs=0.1)


def patches(brightness: float = 1.0, opening: float = 0.15) -> Patches:
    points = [face68((64 + i, 46), 56, opening * (i + 1) / FRAMES) for i in range(FRAMES)]
    frames = [(draw(p, SIZE, SKIN) * brightness).astype(np.uint8) for p in points]
    return cut_patches(frames, np.array(points), 40)


@pytest.mark.parametrize("manipulation", [faceswap, reenactment])
def test_a_donor_in_another_light_makes_the_same_fake(manipulation: Any) -> None:
    target, rng = patches(opening=0.02), (lambda: np.random.default_rng(0))
    plain, _ = manipulation.forge(target, patches(), rng())
    dim, masks = manipulation.forge(target, patches(0.85), rng())
    assert np.abs(plain.astype(float) - dim)[masks > 0.5].mean() < 3
    lit = [np.average(faces, axis=(0, 1, 2), weights=np.repeat(masks[..., None], 3, -1)) for faces in (plain, dim)]
    assert np.abs(lit[0] - lit[1]).max() < 2


def test_a_mouth_is_lent_in_the_targets_light(monkeypatch: pytest.MonkeyPatch) -> None:
    lent: list[np.ndarray] = []
    fill = reenactment.fill_mouth
    monkeypatch.setattr(reenactment, "fill_mouth", lambda *a: lent.append(a[2]) or fill(*a))
    target = patches()
    reenactment.forge(target, patches(0.85), np.random.default_rng(0))
    skin = soft_mask(target.points[0], len(target.images[0]), 4, 1) > 0.9
    middle = [np.median(image[skin], axis=0) for image in (lent[0], target.images[0], patches(0.85).images[0])]
    assert np.abs(middle[0] - middle[1]).max() <= 3 < np.abs(middle[2] - middle[1]).max()


def test_faces_are_low_passed_before_they_are_shrunk() -> None:
    """Fine grain would fold over into coarse noise, which no camera makes."""
    frame = noise((400, 400, 3), 0, 0, 256)
    (small,) = cut_patches([frame], face68((200, 190), 200)[None], 50).images
    assert frame.std() > 70 and small[10:-10, 10:-10].std() < 0.2 * frame.std()
    (same,) = cut_patches([frame], face68((200, 190), 200)[None], 200).images
    assert same[60:-60, 60:-60].std() > 0.5 * frame.std()


# ---------------------------------------------------------------- one fake


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A target, a donor lit from one side and its head turned, and the same donor flipped."""
    folder = tmp_path_factory.mktemp("raw")
    clips: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"target": [], "donor": [], "flipped": []}
    shade = np.linspace(0.6, 1.2, SIZE[0])[None, :, None]
    for i in range(FRAMES):
        points = face68((60 + i, 46), 56, 0.1, 0.02)
        clips["target"].append((draw(points, SIZE, SKIN), points))
        points = face68((62, 46), 56, 0.1, -0.05)
        image = np.clip(draw(points, SIZE, (190, 150, 130)) * shade, 0, 255).astype(np.uint8)
        clips["donor"].append((image, points))
        clips["flipped"].append((image[:, ::-1], points[MIRROR] * (-1, 1) + (SIZE[0] - 1, 0)))
    with writing(folder / "landmarks.parquet") as write:
        for video, clip in clips.items():
            write_video(folder / f"{video}.mp4", [image for image, _ in clip], 25, SIZE)
            write(video, Track(np.ones(FRAMES, bool), np.array([points for _, points in clip])))
    return folder


def job(donor: str = "donor", mirrored: bool = False, **changes: Any) -> Job:
    return replace(Job("faceswap", "target", Donor(donor, mirrored, 0.1), 40, 0), **changes)


def shown(raw: Path, out: Path, what: Job) -> np.ndarray:
    out.mkdir()
    make(what, raw, raw / "landmarks.parquet", out)
    return np.array([image for _, image in read_frames(out / f"{what.name}.mp4")]).astype(int)


def test_a_donor_that_was_chosen_as_mirrored_is_mirrored(raw: Path, tmp_path: Path) -> None:
    mirrored, flipped = shown(raw, tmp_path / "1", job(mirrored=True)), shown(raw, tmp_path / "2", job("flipped"))
    plain = shown(raw, tmp_path / "3", job())
    assert np.abs(mirrored - flipped).mean() < 0.2
    assert np.abs(mirrored - plain).mean() > 5 * np.abs(mirrored - flipped).mean()


@pytest.mark.parametrize("wrong", [{"fps": 30}, {"frames": FRAMES - 1}])
def test_a_fake_of_another_rate_or_length_than_its_target_is_refused(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, int]
) -> None:
    def written(path: Path, frames: Any, fps: Any, size: Any, **about: Any) -> VideoInfo:
        return write_video(path, list(frames)[: wrong.get("frames")], wrong.get("fps", fps), size, **about)

    monkeypatch.setattr(fakes, "write_video", written)
    with pytest.raises(VideoError, match=r"8 frames at 25 became (8 frames at|7 at|8 at)"):
        make(job(), raw, raw / "landmarks.parquet", tmp_path)


def test_landmarks_of_another_length_are_refused(raw: Path, tmp_path: Path) -> None:
    known = {video: read_track(raw / "landmarks.parquet", video) for video in ("target", "donor")}
    with writing(tmp_path / "short.parquet") as write:
        write("target", Track(known["target"].found[:-1], known["target"].points[:-1]))
        write("donor", known["donor"])
    with pytest.raises(VideoError, match="8 frames, but landmarks of 7"):
        make(job(), raw, tmp_path / "short.parquet", tmp_path)


def test_a_small_face_is_forged_no_larger_than_it_is(raw: Path, tmp_path: Path) -> None:
    assert '"face_width":56' in str(make(job(width=400), raw, raw / "landmarks.parquet", tmp_path)["parameters"])


def test_a_reenactments_start_is_drawn_by_the_seed(monkeypatch: pytest.MonkeyPatch, raw: Path, tmp_path: Path) -> None:
    keys: list[tuple[object, ...]] = []
    monkeypatch.setattr(fakes, "generator", lambda *key: keys.append(key) or generator(*key))
    make(job(manipulation="reenactment", seed=7), raw, raw / "landmarks.parquet", tmp_path)
    assert keys == [(7, "reenactment", "target", "donor")]


# ---------------------------------------------------------------- who lends


def manifest(folder: Path, people: dict[str, tuple[str, str]]) -> Any:
    rows = [
        dict.fromkeys(MANIFEST, "") | {"video": video, "person": person, "bucket": bucket, "label": 0, "frames": 8}
        | {"fps": 25.0, "width": 128, "height": 96}
        for video, (person, bucket) in people.items()
    ]  # fmt: skip
    write_manifest(folder, rows)
    return read_manifest(folder)


def planned(folder: Path, manipulation: str, seed: int, per_target: int = 1, width: int = 40) -> list[Job]:
    people = {f"{name}{clip}": (name, bucket) for name, bucket in
              (("a", "b0"), ("b", "b0"), ("c", "b0"), ("d", "b1"), ("e", "b1")) for clip in (1, 2)}  # fmt: skip
    track = Track(np.ones(FRAMES, bool), np.array([face68((60, 46), 56)] * FRAMES))
    folder.mkdir(exist_ok=True)
    jobs, rejected = plan(manifest(folder, people), lambda video: track, manipulation, per_target=per_target,
                          width=width, seed=seed)  # fmt: skip
    assert not rejected
    return jobs


def test_no_fake_crosses_a_bucket_and_a_swap_shows_another_person(tmp_path: Path) -> None:
    for seed in range(6):
        for made in planned(tmp_path, "faceswap", seed):
            assert made.target[0] != made.donor.video[0]
            assert (made.target[0] in "abc") == (made.donor.video[0] in "abc")
        own = [made.target[0] == made.donor.video[0] for made in planned(tmp_path, "reenactment", seed)]
        assert any(own) or seed, "another clip of the same person may lend an expression"


def test_a_plan_follows_its_numbers(tmp_path: Path) -> None:
    one, again, other = (planned(tmp_path, "faceswap", seed) for seed in (0, 0, 1))
    assert one == again and [made.donor for made in one] != [made.donor for made in other]
    assert len(planned(tmp_path, "faceswap", 0, per_target=2)) == 2 * len(one) == 20
    assert {(made.width, made.seed, made.manipulation) for made in planned(tmp_path, "reenactment", 3, width=33)} == {
        (33, 3, "reenactment")
    }


def test_a_flip_must_be_worth_it() -> None:
    """It moves partings and moles: a head turned hardly further the other way stays as it is."""
    for yaw, mirrored in ((-0.02, False), (-0.04, False), (-0.06, True), (0.3, False), (-0.3, True)):
        target, other = Clip("a", "a", "b0", yaw and 0.3), Clip("b", "b", "b0", yaw)
        (donor,) = choose(target, [target, other], 1, True, generator(0))
        assert donor.mirrored == mirrored, yaw
        assert donor.yaw_difference == pytest.approx(abs(0.3 + yaw) if mirrored else abs(0.3 - yaw), abs=1e-3)

import itertools
import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from pipeline.faces.tracks import Track, to_rows
from pipeline.forging.blending import match_colours, paste, soft_mask
from pipeline.forging.donors import MAX_STEP, Clip, choose, follow, generator, pose, swing
from pipeline.forging.fakes import KEPT, forge_set
from pipeline.forging.planning import plan
from pipeline.forging.reenactment import LIMIT, expression, transfer
from pipeline.forging.registry import MANIPULATIONS
from pipeline.forging.warping import MIRROR, cut_patches, part_lips, triangulate, warp
from pipeline.videos.manifests import MANIFEST, read_manifest, read_rejected, write_manifest
from pipeline.videos.reading import probe, read_frames
from pipeline.work.errors import UserError
from tests.aids.clips import write_clip
from tests.aids.faces68 import draw, face68

SIZE, FRAMES = (128, 96), 12
SKINS = {"a": (200, 160, 140), "b": (150, 110, 90), "c": (220, 180, 170)}


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), 3)
    return ((blurred - blurred.min()) / np.ptp(blurred) * 255).astype(np.uint8)


# ---------------------------------------------------------------- geometry


def test_warp_to_the_same_points_changes_nothing():
    image, points = texture(112, 112), face68((56, 56), 64, opening=0.1)
    np.testing.assert_array_equal(warp(image, points, points, triangulate(points[None])), image)


def test_warp_by_one_affine_map_is_that_map():
    image, points = texture(112, 112), face68((56, 56), 64, opening=0.1)
    matrix = np.array([[1.05, 0.1, -6.0], [-0.08, 0.95, 5.0]])
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    warped = warp(image, points, moved, triangulate(moved[None]))
    expected = cv2.warpAffine(image, matrix, (112, 112))
    inside = soft_mask(moved, 112, 3, 0.5) > 0.99
    assert inside.sum() > 1500
    assert np.abs(warped.astype(int) - expected)[inside].max() <= 3


def test_closed_lips_show_no_line_of_what_was_between_them():
    opened, closed = face68((56, 56), 64, opening=0.2), face68((56, 56), 64, opening=0.0)
    image = np.full((112, 112, 3), 90, np.uint8)
    lips = opened[60:68]
    teeth = lips.mean(axis=0) + 0.7 * (lips - lips.mean(axis=0))
    cv2.fillPoly(image, [teeth.round().astype(np.int32)], (255, 255, 255))
    shut = warp(image, opened, closed, triangulate(opened[None]))
    assert (image > 200).sum() > 200
    assert (shut > 200).sum() == 0


def test_a_patch_holds_the_face_at_the_width_asked_for_and_goes_back_to_its_place():
    frame = texture(240, 320)
    points = face68((150.3, 120.6), 96)
    patches = cut_patches([frame], points[None], 96)
    assert np.ptp(patches.points[0, :, 0]) == pytest.approx(96)
    back = paste(frame, patches.images[0], np.ones(patches.images.shape[1:3], np.float32), patches.matrices[0])
    assert np.abs(back.astype(int) - frame).max() <= 8, "only resampling at the same scale"
    nothing = np.zeros(patches.images.shape[1:3], np.float32)
    np.testing.assert_array_equal(paste(frame, patches.images[0], nothing, patches.matrices[0]), frame)


@pytest.mark.parametrize("centre", [(4, 5), (318, 236), (-400, 50)])
def test_a_face_at_the_edge_or_outside_is_cut_and_pasted(centre: tuple[float, float]):
    frame, points = texture(240, 320), face68(centre, 96)
    patches = cut_patches([frame], points[None], 48)
    mask = soft_mask(patches.points[0], len(patches.images[0]), 0, 2)
    assert paste(frame, patches.images[0], mask, patches.matrices[0]).shape == frame.shape


def test_mirroring_swaps_left_and_right():
    points = face68((56, 56), 64, opening=0.1, yaw=0.1)
    np.testing.assert_array_equal(MIRROR[MIRROR], np.arange(68))
    frontal = face68((0, 0), 64, opening=0.1)
    np.testing.assert_allclose(frontal[MIRROR] * (-1, 1), frontal, atol=1e-9)
    patches = cut_patches([texture(112, 112)], points[None], 64)
    flipped = patches.mirrored()
    np.testing.assert_allclose(pose(flipped.points)[:, 0], -pose(patches.points)[:, 0])
    np.testing.assert_allclose(flipped.mirrored().points, patches.points)


def test_lips_never_cross():
    points = face68((56, 56), 64)[None]
    points[0, 61, 1] = points[0, 67, 1] + 3
    parted = part_lips(points)
    assert parted[0, 61, 1] == parted[0, 67, 1] == points[0, 67, 1] + 1.5
    assert points[0, 61, 1] == points[0, 67, 1] + 3, "the argument is left alone"


def test_colours_take_the_targets_mean_under_the_mask():
    faces, targets = texture(60, 60, 1)[None] // 2, (texture(60, 60, 2)[None] // 4 + 100).astype(np.uint8)
    mask = soft_mask(face68((30, 30), 40), 60, 2, 2)[None]
    lab = [
        cv2.cvtColor(x[0].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        for x in (match_colours(faces, targets, mask), targets)
    ]
    ours, theirs = (np.average(x.reshape(-1, 3), axis=0, weights=mask[0].ravel()) for x in lab)
    np.testing.assert_allclose(ours, theirs, atol=1.5)


# ---------------------------------------------------------------- donors


def clips() -> list[Clip]:
    table = [("a1", "a", 0.0), ("a2", "a", 0.02), ("b1", "b", 0.3), ("b2", "b", -0.01), ("c1", "c", 0.25)]
    return [Clip(video, person, "b0", yaw) for video, person, yaw in table] + [Clip("x1", "x", "b1", 0.0)]


def test_donors_are_of_the_bucket_nearest_in_yaw_and_of_another_person_where_wanted():
    target = clips()[0]
    for seed in range(20):
        swap = choose(target, clips(), 1, True, generator(seed))
        assert [donor.video for donor in swap] == ["b2"]
        assert {donor.video for donor in choose(target, clips(), 1, False, generator(seed))} <= {"a2", "b2"}
        two = choose(target, clips(), 2, True, generator(seed))
        assert [donor.video[0] for donor in two] == ["b", "c"], "another person before another clip"
    assert choose(clips()[-1], clips(), 1, True, generator(0)) == []
    assert len(choose(target, clips(), 9, True, generator(0))) == 3


def test_a_head_turned_the_other_way_is_mirrored():
    target, other = Clip("a", "a", "b0", 0.3), Clip("b", "b", "b0", -0.28)
    (donor,) = choose(target, [target, other], 1, True, generator(0))
    assert donor.mirrored and donor.yaw_difference == pytest.approx(0.02)


def test_generators_depend_on_the_key_alone():
    assert generator(0, "faceswap", "a").integers(1 << 40) == 636066621241
    assert generator(0, "faceswap", "b").integers(1 << 40) != generator(0, "faceswap", "a").integers(1 << 40)


def test_following_is_the_best_of_all_paths():
    rng = np.random.default_rng(3)
    for _ in range(5):
        target, donor = rng.normal(size=(5, 2)), rng.normal(size=(6, 2))
        paths = [p for p in itertools.product(range(6), repeat=5) if np.abs(np.diff(p)).max() <= MAX_STEP]
        cost = [sum(np.square(target[i] - donor[j]).sum() for i, j in enumerate(path)) for path in paths]
        assert tuple(follow(target, donor)) == paths[int(np.argmin(cost))]


def test_swinging_runs_to_and_fro():
    assert swing(2, 9, 4).tolist() == [2, 3, 2, 1, 0, 1, 2, 3, 2]
    assert swing(0, 3, 1).tolist() == [0, 0, 0]


# ---------------------------------------------------------------- reenactment


def talking(count: int, **place: float) -> np.ndarray:
    openings = 0.1 * (1 - np.cos(np.linspace(0, 4 * np.pi, count)))
    return np.array(
        [face68((56 + place.get("move", 0) * i, 56), 64, o, place.get("yaw", 0)) for i, o in enumerate(openings)]
    )


def test_pose_alone_is_no_expression():
    still = np.array([face68((56, 56), 64)] * 8)
    matrix = np.array([[1.02, 0.05], [-0.05, 0.98]])
    moved = np.array([points @ np.linalg.matrix_power(matrix, i) + (i, 2 * i) for i, points in enumerate(still)])
    np.testing.assert_allclose(expression(moved), 0, atol=1e-6)


def test_the_targets_own_expression_changes_nothing_and_anothers_moves_the_mouth_alone():
    points = talking(16, move=0.5)
    np.testing.assert_allclose(transfer(points, expression(points)), points, atol=0.05)
    silent = np.array([face68((56, 56), 64)] * 16)
    driven = transfer(silent, expression(points))
    upper = [*range(3), *range(14, 48)]
    np.testing.assert_array_equal(driven[:, upper], silent[:, upper])
    opening, wanted = pose(driven)[:, 2], pose(points)[:, 2]
    assert np.corrcoef(opening, wanted)[0, 1] > 0.99
    assert opening.max() > 0.7 * wanted.max()


def test_no_landmark_is_torn_away():
    silent, wild = np.array([face68((56, 56), 64)] * 4), np.zeros((4, 68, 2))
    wild[:, 48:68] = (60, 80)
    distance = np.linalg.norm(transfer(silent, wild) - silent, axis=2)
    assert distance.max() < 1.1 * LIMIT * 64  # and closed lips meet in the middle


# ---------------------------------------------------------------- whole clips


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people of one bucket, a fourth alone in another, and `a` without a face in its last two frames."""
    folder = tmp_path_factory.mktemp("raw") / "original"
    folder.mkdir()
    rows, tables = [], []
    for number, (person, bucket) in enumerate([("a", "b0"), ("b", "b0"), ("c", "b0"), ("d", "b1")]):
        openings = 0.08 * (1 + np.sin(np.arange(FRAMES) * 0.8 + number))
        points = np.array([face68((60 + i, 46), 56, o, 0.01 * number) for i, o in enumerate(openings)])
        frames = [draw(p, SIZE, SKINS.get(person, (180, 140, 120))) for p in points]
        info = write_clip(folder / f"{person}.mp4", frames, 25, SIZE)
        found = np.ones(FRAMES, dtype=bool)
        if person == "a":
            points[-2:], found[-2:] = np.nan, False
        tables.append(to_rows(person, Track(found, points)))
        rows.append(
            dict.fromkeys(MANIFEST, "")
            | {"video": person, "person": person, "bucket": bucket, "label": 0, "frames": info.frames, "fps": 25.0}
            | {"width": SIZE[0], "height": SIZE[1], "source": "drawn", "licence": "none"}
        )
    write_manifest(folder, rows)
    pd.concat(tables).to_parquet(folder.parent / "landmarks.parquet", index=False)
    return folder


@pytest.fixture(scope="module", params=sorted(MANIPULATIONS))
def forged(request: pytest.FixtureRequest, raw: Path) -> Path:
    out = raw.parent / request.param
    made, rejected = forge_set(
        request.param, raw, raw.parent / "landmarks.parquet", out, per_target=1, width=40, seed=0, workers=1
    )
    assert (made, rejected) == (3, 1)
    return out


def frames_of(video: Path) -> np.ndarray:
    return np.array([image for _, image in read_frames(video)])


def test_a_fake_keeps_the_clip_and_changes_the_face_alone(raw: Path, forged: Path):
    for row in read_manifest(forged).to_dict("records"):
        real, fake = probe(raw / f"{row['target']}.mp4"), probe(forged / f"{row['video']}.mp4")
        assert fake == real
        before, after = frames_of(raw / f"{row['target']}.mp4"), frames_of(forged / f"{row['video']}.mp4")
        change = np.abs(after.astype(int) - before).max(axis=3)
        assert change[:8, 40:70, 40:80].max(axis=(1, 2)).min() > 15, "every face is changed"
        assert change[:, :, :20].max() <= 2 and change[:, :, 115:].max() <= 2, "the background is not"


def test_the_manifest_tells_target_donor_and_parameters(raw: Path, forged: Path):
    table = read_manifest(forged)
    assert list(table["target"]) == ["a", "b", "c"]
    assert (table["label"] == 1).all() and (table["bucket"] == "b0").all()
    assert (table["person"] == table["target"]).all() and (table["donor"] != table["target"]).all()
    assert set(table["donor"]) <= {"a", "b", "c"}, "d is of another bucket"
    assert json.loads(table["parameters"][0])["face_width"] == 40
    assert (table["source"] == "drawn").all()


def test_frames_without_a_face_are_left_as_they_are_and_listed(raw: Path, forged: Path):
    video = next(name for name in read_manifest(forged)["video"] if name.startswith("a__"))
    before, after = frames_of(raw / "a.mp4"), frames_of(forged / f"{video}.mp4")
    assert np.abs(after[-2:].astype(int) - before[-2:]).max() <= 2
    rejected = read_rejected(forged)
    assert (rejected["set"] == forged.name).all()
    frames = rejected[rejected["cause"] == KEPT]
    assert list(zip(frames["video"], frames["frame"], strict=True)) == [(video, "10"), (video, "11")]
    (whole,) = rejected[rejected["frame"] == ""].to_dict("records")
    assert whole["video"] == "d" and "bucket b1" in whole["cause"]


def test_the_file_says_that_it_is_synthetic(raw: Path, forged: Path):
    for video in read_manifest(forged)["video"]:
        assert f"synthetic: {forged.name}".encode() in (forged / f"{video}.mp4").read_bytes()
    assert b"synthetic" not in (raw / "a.mp4").read_bytes()


def test_the_same_seed_gives_the_same_bytes(raw: Path, forged: Path):
    again = forged.with_name(f"{forged.name}-again")
    landmarks = raw.parent / "landmarks.parquet"
    forge_set(forged.name, raw, landmarks, again, per_target=1, width=40, seed=0, workers=2)
    names = sorted(path.name for path in forged.iterdir())
    assert names == sorted(path.name for path in again.iterdir())
    assert all((forged / name).read_bytes() == (again / name).read_bytes() for name in names)


def test_a_bad_video_does_not_stop_the_others(raw: Path, tmp_path: Path):
    folder = tmp_path / "original"
    folder.mkdir()
    for path in raw.iterdir():
        (folder / path.name).write_bytes(path.read_bytes() if path.name != "b.mp4" else b"broken")
    landmarks, out = raw.parent / "landmarks.parquet", tmp_path / "faceswap"
    made, rejected = forge_set("faceswap", folder, landmarks, out, per_target=2, width=40, seed=0, workers=1)
    assert made == 2, "a and c lend to each other"
    assert rejected == 5 and set(read_manifest(out)["target"]) == {"a", "c"}


def test_nothing_to_make_is_an_error_and_leaves_nothing(raw: Path, tmp_path: Path):
    alone = read_manifest(raw).query("video == 'd'").to_dict("records")
    write_manifest(tmp_path / "original", alone)
    with pytest.raises(UserError, match="bucket b1 holds no other person"):
        forge_set(
            "faceswap", tmp_path / "original", raw.parent / "landmarks.parquet", tmp_path / "out",
            per_target=1, width=40, seed=0, workers=1,
        )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["original"]


def test_an_unknown_manipulation_is_named(raw: Path):
    with pytest.raises(UserError, match="faceswap, reenactment"):
        plan(read_manifest(raw), {}.get, "deepfakes", per_target=1, width=40, seed=0)

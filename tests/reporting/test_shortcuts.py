"""What tells the classes apart without a look at the face: found where it is planted, and not where it is not."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info, threadpool_limits

from pipeline.crops.shards import read_index
from pipeline.params.schema import Params, load
from pipeline.reporting import shortcuts
from pipeline.reporting.tables import shortcuts as tables
from pipeline.work.errors import UserError
from tests.aids import report_fixture as made_up

PEOPLE = np.repeat([f"p{number}" for number in range(10)], 3)


def pairs(shift: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three features of 30 pairs: people differ by far more than the two of a pair do."""
    random = np.random.default_rng(seed)
    real = random.normal(0, 5, (10, 3)).repeat(3, axis=0) + random.normal(0, 1, (30, 3))
    return real, real + random.normal(0, 0.1, real.shape) + shift


def test_the_auc_is_scikit_learns() -> None:
    real, fake = pairs(3)
    labels, groups = np.repeat([0, 1], 30), np.tile(PEOPLE, 2)
    model = make_pipeline(StandardScaler(), RidgeClassifier())
    scores = cross_val_predict(
        model, np.concatenate([real, fake]), labels, groups=groups, cv=LeaveOneGroupOut(), method="decision_function"
    )
    assert shortcuts.told(real, fake, PEOPLE, 0)[0] == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)


def test_pairs_that_differ_by_noise_are_at_chance() -> None:
    found = np.array([shortcuts.told(*pairs(0, seed), PEOPLE, 0) for seed in range(8)])
    assert (abs(found[:, 0] - 0.5) < 0.1).all() and found[:, 2].min() > 0.01
    real, _ = pairs(0)
    assert shortcuts.told(real, real, PEOPLE, 0) == (0.5, 0.5, 1.0)


def test_a_shift_that_people_hide_is_seen_in_pairs() -> None:
    auc, right, p = shortcuts.told(*pairs(0.5), PEOPLE, 0)
    assert auc < 0.65 and right > 0.9 and p <= 0.01


def test_small_products_are_not_shared_among_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """They took fifteen times the processor time with two; the caller's threads are left as they were."""
    seen = []

    class Watched(Ridge):
        def fit(self, *given: np.ndarray) -> Ridge:
            seen.append(blas_threads())
            return super().fit(*given)

    monkeypatch.setattr(shortcuts, "Ridge", Watched)
    with threadpool_limits(2, "blas"):
        shortcuts.told(*pairs(0), PEOPLE, 0)
        assert len(seen) == 10 and all(threads <= {1} for threads in seen) and blas_threads() <= {2}


def blas_threads() -> set[int]:
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, Params]:
    params = load(made_up.write_params(tmp_path))
    made_up.write_shards(tmp_path / "shards", params.sets, params.compressions)
    made_up.write_manifests(tmp_path / "raw", tmp_path / "compressed", params)
    return tmp_path, params


def measured(run: tuple[Path, Params], sets: Sequence[str], qualities: Sequence[str]) -> pd.DataFrame:
    folder, _ = run
    index = read_index([folder / "shards" / name for name in sets])
    found = shortcuts.measure(folder / "raw", folder / "compressed", index, qualities)
    return found.set_index(["manipulation", "quality", "features"]).sort_index()


def change(table: Path, column: str, value: object) -> None:
    pd.read_csv(table).assign(**{column: value}).to_csv(table, index=False)


def test_each_kind_of_leak_is_found_where_it_is_planted(run: tuple[Path, Params]) -> None:
    folder, params = run
    compressed = folder / "compressed/faceswap"
    change(folder / "raw/faceswap/manifest.csv", "frames", 49)
    change(compressed / "c23/encoding.csv", "pix_fmt", "yuv422p")
    change(compressed / "c40/encoding.csv", "width", 94)
    for path in compressed.glob("c40/*.mp4"):
        path.write_bytes(made_up.mp4(400))
    for path in compressed.glob("c23/*.mp4"):
        path.write_bytes(path.read_bytes() + made_up.mp4(8, 90)[:90])
    found = measured(run, params.sets, ("raw", *params.compressions))
    planted = [
        ("raw", "frames, seconds, rate"), ("c23", "encoder"), ("c40", "frame size"), ("c40", "file size"),
        ("c40", "bits of the pictures"), ("c23", "container"), ("c40", shortcuts.ALL),
    ]  # fmt: skip
    for quality, features in planted:
        row = found.loc[("faceswap", quality, features)]
        assert row["auc"] > 0.95 and row["p"] <= 0.01, (quality, features)
    alike = ["frames, seconds, rate", "encoder", "frame size", "place and size of the face"]
    untouched = found.loc["reenactment"][found.loc["reenactment"].index.isin(alike, level="features")]
    assert len(untouched) == 12 and (untouched[["auc", "pairs_right"]] == 0.5).all(axis=None)
    said = tables.said(found.reset_index())
    assert "faceswap c40 frame size" in said and tables.LEAK in said and tables.SMOOTHER in said
    assert tables.LEAK not in tables.said(untouched.assign(manipulation="reenactment").reset_index())


def test_the_border_is_that_of_the_crop(run: tuple[Path, Params], monkeypatch: pytest.MonkeyPatch) -> None:
    """Fakes whose edge is redder are told; a redder middle, which a forged face may have, is not."""
    red, read = slice(0, shortcuts.BORDER), shortcuts.read_crops

    def painted(row: pd.Series, qualities: list[str]) -> dict[str, np.ndarray]:
        crops = {quality: crop.copy() for quality, crop in read(row, qualities).items()}
        for crop in crops.values() if row["label"] else ():
            crop[red, :, 0] = 255 if red.start == 0 else crop[red, :, 0]
            crop[20:30, 20:30, 0] = 255
        return crops

    monkeypatch.setattr(shortcuts, "read_crops", painted)
    sets, row = ("original", "faceswap"), ("faceswap", "raw", "colour of the crop's border")
    assert measured(run, sets, ["raw"]).loc[row, "auc"] > 0.95
    red = slice(20, 30)
    assert measured(run, sets, ["raw"]).loc[row, "auc"] < 0.8


def test_pictures_are_told_from_the_container(tmp_path: Path) -> None:
    file = tmp_path / "a.mp4"
    file.write_bytes(made_up.mp4(300, 50))
    assert shortcuts.picture_bytes(file) == 300
    file.write_bytes(b"RIFF" + bytes(200))  # another kind of file
    assert shortcuts.picture_bytes(file) == 204


@pytest.mark.parametrize("gone", ["its file", "its line"])
def test_a_video_that_was_cropped_and_is_gone_is_named(run: tuple[Path, Params], gone: str) -> None:
    folder = run[0] / "compressed/faceswap/c40"
    video = sorted(folder.glob("*.mp4"))[0]
    if gone == "its file":
        video.unlink()
    else:
        table = pd.read_csv(folder / "encoding.csv")
        table[table["video"] != video.stem].to_csv(folder / "encoding.csv", index=False)
    with pytest.raises(UserError, match=rf"faceswap/c40: {video.stem}\.mp4 was cropped and is not there"):
        measured(run, ("original", "faceswap"), ["c40"])

"""Whether real and fake can be told apart without a look at the face: by files, lengths, boxes, encoders, borders.

A detector that learned this would score well and know nothing of faces. Each fake is paired with its target. A linear
classifier is trained on all people but one and tested on that one, each in turn. What it reaches by chance is found by
swapping the labels within pairs at random.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from pipeline.crops.shards import read_crops
from pipeline.params.cells import RAW
from pipeline.reporting.tables import encodings
from pipeline.videos.boxes import boxes
from pipeline.videos.sampling import thin
from pipeline.work.errors import UserError

Array = NDArray[np.float64]
CONTAINER = "container"  # what is not pictures in a file; a fake's says in words that it is synthetic
FEATURES: dict[str, tuple[str, ...]] = {
    "file size": ("file",),
    "bits of the pictures": ("bits",),
    CONTAINER: (CONTAINER,),
    "frames, seconds, rate": ("frames", "seconds", "fps"),
    "frame size": ("width", "height"),
    "encoder": (),  # a column for each that is there
    "place and size of the face": ("left", "top", "size"),
    "colour of the crop's border": ("red", "green", "blue"),
}
ALL = "all but the container"
MOST = 300  # pairs of a manipulation that are looked into, drawn at random: more takes long and changes little
FRAMES = 3  # of a video, whose borders are looked at
BORDER = 6  # px of the ring; the face box is 1.3 times the face
SWAPS = 999
SEED = 0  # of the pairs that are looked into, and of the swaps
FOUND = ["manipulation", "quality", "features", "pairs", "auc", "pairs_right", "p"]


def measure(raw: Path, compressed: Path, index: pd.DataFrame, qualities: Sequence[str]) -> pd.DataFrame:
    """Rows (manipulation, quality, features, number of pairs, AUC, share of pairs in the right order, p).

    raw, compressed, index: the videos and the shards' index of all sets; p: of the pairs in order, by SWAPS random
    swaps. Nothing where a manipulation has fakes of fewer than two people.
    """
    first = index.drop_duplicates(["set", "video"])
    reals = first[first["label"] == 0][["video", "person"]]
    found = []
    for name, fakes in first[first["label"] == 1].groupby("set", sort=False):
        pairs = fakes.drop_duplicates("target")[["video", "target"]]
        pairs = reals.merge(pairs, left_on="video", right_on="target", suffixes=("", "_fake"))
        pairs = pairs.sample(min(len(pairs), MOST), random_state=SEED).sort_values("video", ignore_index=True)
        if pairs["person"].nunique() < 2:
            continue
        for quality in qualities:
            sides = [_side("original", pairs["video"], raw, compressed, index, quality)]
            sides.append(_side(str(name), pairs["video_fake"], raw, compressed, index, quality))
            for features, both in _features(*sides).items():
                values = told(both[: len(pairs)], both[len(pairs) :], pairs["person"].to_numpy(), SEED)
                found.append((name, quality, features, len(pairs), *values))
    return pd.DataFrame(found, columns=FOUND)


# Thousands of products of small matrices: OpenBLAS's threads would wait for each other and do nothing else.
@threadpool_limits.wrap(limits=1, user_api="blas")
def told(real: Array, fake: Array, people: NDArray[Any], seed: int) -> tuple[float, float, float]:
    """AUC over all videos, share of the N pairs whose fake scores higher (a tie counts one half), and its p.

    real, fake: features (N, F) of each pair; people: (N,), whose they are.
    """
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (len(people), SWAPS + 1))
    signs[:, 0] = 1
    labels, both = np.concatenate([-signs, signs]), np.concatenate([real, fake])
    scores = np.empty_like(labels)
    for train, test in LeaveOneGroupOut().split(both, groups=np.concatenate([people, people])):
        model = make_pipeline(StandardScaler(), Ridge()).fit(both[train], labels[train])
        scores[test] = model.predict(both[test])
    scores = scores.round(9)  # what is alike must tie
    count = len(people)
    ranks = rankdata(scores[:, 0])
    auc = (ranks[count:].sum() - count * (count + 1) / 2) / count**2
    right = (1 + signs * np.sign(scores[count:] - scores[:count])).mean(axis=0) / 2
    return float(auc), float(right[0]), float((right >= right[0]).mean())


def _features(real: pd.DataFrame, fake: pd.DataFrame) -> dict[str, Array]:
    """The columns of each kind of feature, reals above fakes: (2N, F)."""
    both = pd.concat([real, fake], ignore_index=True)
    encoders = pd.get_dummies(both.pop("encoder")).astype(float)
    groups = {name: both[[*columns]].to_numpy(float) for name, columns in FEATURES.items()}
    groups["encoder"] = encoders.to_numpy(float)
    groups[ALL] = np.hstack([columns for name, columns in groups.items() if name != CONTAINER])
    return groups


def _side(name: str, videos: pd.Series, raw: Path, compressed: Path, index: pd.DataFrame, quality: str) -> pd.DataFrame:
    """A row of features a video, in their order. Raises: UserError where one of the videos is gone since crop."""
    folder = raw / name if quality == RAW else compressed / name / quality
    about = encodings.every(raw / name, None if quality == RAW else folder).set_index("video")
    files = [folder / f"{video}.mp4" for video in videos]
    if gone := [path.name for path in files if path.stem not in about.index or not path.is_file()]:
        raise UserError(
            f"{folder}: {gone[0]} was cropped and is not there, or not in the table beside it; run `dvc repro`"
        )
    about = about.loc[videos]
    whole = np.array([path.stat().st_size for path in files], float)
    pictures = np.array([picture_bytes(path) for path in files], float)
    sizes = about[["frames", "fps", "width", "height"]].astype(float).reset_index(drop=True)
    pixels = (sizes["frames"] * sizes["width"] * sizes["height"]).to_numpy()
    seen = index[(index["set"] == name) & index["video"].isin(videos)].reset_index(drop=True)
    crops = thin(seen, FRAMES)
    colours = [_border(read_crops(row, [quality])[quality]) for _, row in crops.iterrows()]
    crops = crops.assign(**dict(zip(("red", "green", "blue"), np.array(colours).T, strict=True)))
    means = crops.groupby("video")[["left", "top", "size", "red", "green", "blue"]].mean().loc[videos]
    return pd.concat(
        [
            sizes.assign(
                seconds=sizes["frames"] / sizes["fps"], file=np.log(whole), bits=np.log(8 * pictures / pixels)
            ),
            pd.DataFrame({CONTAINER: whole - pictures, "encoder": about["encoder"].to_numpy()}),
            means.reset_index(drop=True),
        ],
        axis=1,
    )


def _border(crop: NDArray[np.uint8]) -> Array:
    """The mean colour (3,) of the ring at the edge of a crop (S, S, 3), grey levels."""
    ring = np.ones(crop.shape[:2], bool)
    ring[BORDER:-BORDER, BORDER:-BORDER] = False
    return np.asarray(crop[ring].mean(axis=0))


def picture_bytes(path: Path) -> int:
    """The bytes of the streams in an MP4 file, its boxes mdat with their headers; of another file all bytes."""
    total = path.stat().st_size
    pictures = at = 0
    with path.open("rb") as file:
        for box in boxes(file, 0, total):
            pictures += box.end - at if box.name == b"mdat" else 0
            at = box.end
    return pictures or total

"""How much there is to do: videos, crops, steps and bytes, from the params and what is known of the data sets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.crops import folds
from pipeline.params.cells import TEACHER, Cell, tested_on
from pipeline.params.recipes import Recipe, Train
from pipeline.params.schema import Params
from pipeline.videos.manifests import read_manifest
from pipeline.work.files import located

RAW_FOLDER = Path("data/raw")
# Videos of a set by bucket, as the data sets' own papers and lists count them.
FACEFORENSICS_PAIRS = {"train": 360, "val": 70, "test": 70}  # each is two videos of every set
DEEPFAKEDETECTION = {"original": 363, "fakes": 3068}
CELEBDF = {"testing": {"original": 178, "fakes": 340}, "all": {"original": 890, "fakes": 5639}}
SAMPLE_PEOPLE = 10
# Sources whose folder another section of the params names.
NAMED_IN = {"sample_and_folder": "folder", "deepfakedetection": "faceforensics"}

Videos = dict[str, dict[str, int]]  # set -> bucket -> videos


@dataclass(frozen=True)
class Known:
    """The videos, and where the numbers are from."""

    videos: Videos
    origin: str

    def total(self, name: str) -> int:
        return sum(self.videos[name].values())


def absent(params: Params) -> str | None:
    """What is wrong with the folder that the source takes its videos from; None where nothing is."""
    if params.source == "sample":
        return None
    section = NAMED_IN.get(params.source, params.source)
    path = getattr(params, section).path
    if path is None:
        return f"{section}.path is not set, and nothing runs without: -S {section}.path=... names the videos' folder"
    if not located(path).is_dir() and not (params.source == "faceforensics" and params.faceforensics.accept_terms):
        return f"{section}.path: {path} is not a folder"
    return None


def videos(params: Params, there: bool = True) -> Known | None:
    """The videos of each set: those in data/raw, else what is known of the source; None where nothing is.

    there: whether data/raw holds these params' videos, and not those of another source or other settings.
    """
    if there and all((RAW_FOLDER / name / "manifest.csv").exists() for name in params.sets):
        tables = {name: read_manifest(RAW_FOLDER / name)["bucket"].value_counts() for name in params.sets}
        return Known({name: {str(k): int(n) for k, n in table.items()} for name, table in tables.items()}, "data/raw")
    return PUBLISHED[params.source](params) if params.source in PUBLISHED else None


def _sample(params: Params) -> Known:
    clips, buckets = SAMPLE_PEOPLE * params.sample_source.clips_per_person, params.split.buckets
    each = {f"b{number}": clips * (number + 1) // buckets - clips * number // buckets for number in range(buckets)}
    per_target = {name: 1 if name == "original" else params.forge.per_target for name in params.sets}
    found = {name: {bucket: n * per_target[name] for bucket, n in each.items()} for name in params.sets}
    return Known(found, "ten people with clips_per_person each, at most")


def _faceforensics(params: Params) -> Known:
    limit = params.faceforensics.n_pairs
    each = {bucket: 2 * min(pairs, limit or pairs) for bucket, pairs in FACEFORENSICS_PAIRS.items()}
    return Known({name: dict(each) for name in params.sets}, "FaceForensics++'s official split")


def _tested(counts: dict[str, int], params: Params) -> Known:
    """Of a data set that is only tested on. counts: of its originals and its fakes."""
    found = {name: {"test": counts["original" if name == "original" else "fakes"]} for name in params.sets}
    return Known(found, "what its authors count, all manipulations together")


PUBLISHED: dict[str, Callable[[Params], Known]] = {
    "sample": _sample,
    "faceforensics": _faceforensics,
    "deepfakedetection": partial(_tested, DEEPFAKEDETECTION),
    "celebdf": lambda params: _tested(CELEBDF[params.celebdf.videos], params),
}


@dataclass(frozen=True)
class Work:
    """What one model, trained and tested in its folds, goes through.

    steps: at most, for with `select: best` a training stops early. scored: images of validations and of the test.
    """

    steps: int
    scored: int


def work(cell: Cell, params: Params, known: Known, of: Sequence[int] | None = None) -> Work:
    """Summed over the folds, all by default. Raises: UserError for a fold that the buckets do not give."""
    how, steps, scored = recipe(cell, params), 0, 0
    for fold in params.folds if of is None else of:
        roles = folds.fold(params, fold)
        train, val, test = (_crops(cell, buckets, params, known) for buckets in roles)
        total = 2 * max(train)  # the rarer class comes more often
        batches = total // max(1, min(how.batch_size, total))
        rows = how.epochs * min(how.validations_per_epoch, batches)
        steps += how.epochs * batches
        # The test compares with the training crops.
        scored += rows * sum(val) + len(tested_on(cell.compression, params.compressions)) * (sum(train) + sum(test))
    return Work(steps, scored)


def section(cell: Cell, params: Params) -> Recipe:
    """The params of the cell's method."""
    if cell.method == TEACHER:
        return params.teacher
    if cell.is_baseline:
        return params.baselines[cell.backbone]
    others: dict[str, Recipe] = {**dict(params.agnostic), **dict(params.distill)}
    return others.get(cell.method, params.add)


def recipe(cell: Cell, params: Params) -> Train:
    return params.recipe(section(cell, params))


def crop_bytes(params: Params, known: Known) -> int:
    """The shards: a PNG of a face takes about half of its pixels' bytes."""
    frames = params.sample.frames * sum(known.total(name) for name in params.sets)
    return frames * (1 + len(params.compressions)) * params.crop.size**2 * 3 // 2


def _crops(cell: Cell, buckets: tuple[str, ...], params: Params, known: Known) -> tuple[int, int]:
    """Real and fake crops of the buckets."""
    fakes = params.pool(cell.manipulation) or (cell.manipulation,)
    real, fake = (
        params.sample.frames * sum(known.videos[name].get(bucket, 0) for name in names for bucket in buckets)
        for names in (("original",), fakes)
    )
    return real, fake

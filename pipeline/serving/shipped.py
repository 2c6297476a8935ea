"""A shipped detector: a folder with networks, what they expect, how they are judged, and a hash of each file.

<folder>/<quality>/ holds detector.json (`Detector`), fold<k>/ with the weights (safetensors) of each fold's network,
detector.onnx with all of them as one, README.md (the model card) and SHA256SUMS. Nothing that could run code is read.
"""

import hashlib
import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.evaluation.calibration import Calibration
from pipeline.params.sections import Verdict
from pipeline.work.errors import UserError

FORMAT = 1
ABOUT, SUMS, ONNX, MODEL_CARD = "detector.json", "SHA256SUMS", "detector.onnx", "README.md"
CODE = {".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib"}  # formats that can run what they hold


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Preparation(Strict):
    """From a frame to a network's input: a square `enlarge` times the face, scaled to crop_size px, its middle
    image_size px, RGB in 0..1, less mean, over std."""

    max_side: int  # px: faces are searched on frames scaled to this
    enlarge: float
    crop_size: int
    image_size: int
    mean: float
    std: float


class Seen(Strict):
    """What the training faces were like: 1st and 99th percentiles."""

    face: tuple[float, float]  # px of the square around the face, in the frame
    sharpness: tuple[float, float]  # see crops.sharpness


class Detector(Strict):
    """What a shipped detector is.

    quality: of its training crops; crf: their x264 rate factor, 0 for raw. video, image: for the mean score of a
    video's faces, and for the score of a single one. results: measured on people that the scoring network never saw.
    """

    format: int = FORMAT
    name: str
    method: str
    backbone: str
    task: str
    manipulations: tuple[str, ...]
    quality: str
    crf: float
    seed: int
    folds: tuple[int, ...]
    preparation: Preparation
    verdict: Verdict
    video: Calibration
    image: Calibration
    calibrated_on: str
    seen: Seen
    people: int  # trained on, all folds together
    source: str
    results: dict[str, dict[str, float | int | None]]


def find(folder: Path) -> list[Path]:
    """The folders of the detectors in `folder`: itself, or one for each quality below it. Raises: UserError."""
    if not folder.exists():
        raise UserError(
            f"{folder}: no such folder; give --model a detector that the export stage left, such as models/export/NAME"
        )
    if folder.is_file():
        raise UserError(f"{folder}: a file; give --model the folder that it lies in")
    if (folder / ABOUT).is_file():
        return [folder]
    found = sorted(path.parent for path in folder.glob(f"*/{ABOUT}"))
    if not found:
        _refuse_code(folder)
        below = sorted({path.parent.parent.name for path in folder.glob(f"*/*/{ABOUT}")})
        hint = f"; choose one of {', '.join(below)} in it" if below else "; export it again"
        raise UserError(f"{folder}: no shipped detector ({ABOUT} is missing){hint}")
    return found


def read(folder: Path) -> Detector:
    """What the detector in `folder` is, after its files have been checked against their hashes.

    Raises: UserError for another version, a file that is missing, cut short or changed, and one that could run code.
    """
    _refuse_code(folder)
    try:
        about = json.loads((folder / ABOUT).read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / ABOUT}: cannot be read ({error}); export the detector again") from None
    number = about.get("format") if isinstance(about, dict) else None
    if number != FORMAT:
        raise UserError(f"{folder}: format {number}, this version reads {FORMAT}; export the detector again")
    _verify(folder)
    try:
        return Detector.model_validate(about)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(f"{folder / ABOUT}: {key}: {first['msg']}; export the detector again") from None


def seal(folder: Path) -> None:
    """Write SHA256SUMS over everything in `folder`, as sha256sum does."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    (folder / SUMS).write_text("".join(f"{_digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in files))


def _verify(folder: Path) -> None:
    try:
        lines = (folder / SUMS).read_text().splitlines()
        known = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    except (OSError, ValueError):
        raise UserError(f"{folder / SUMS}: missing; the detector is not whole, export it again") from None
    if ABOUT not in known:
        raise UserError(f"{folder / SUMS}: does not list {ABOUT}; export the detector again")
    for name, digest in known.items():
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise UserError(f"{folder / SUMS}: names a file outside the folder; export the detector again")
        if not path.is_file():
            raise UserError(f"{path}: missing; the detector is not whole, export it again")
        if _digest(path) != digest:
            raise UserError(f"{path}: not the file that was exported (cut short or changed); export the detector again")


def _refuse_code(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in CODE:
            raise UserError(
                f"{path}: a pickle can run code and is never read; a detector has safetensors and ONNX alone: remove "
                "it, or export the detector again"
            )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

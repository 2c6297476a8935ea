"""What a judgement looks like: a line for people, JSON, CSV."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.serving.inputs import shown
from pipeline.serving.judgement import Judgement, Track, probabilities
from pipeline.sources.names import readable

LIMITS = "A score is evidence, not proof: it says how much faces look like the fakes that the detector was trained on."


@dataclass(frozen=True)
class Failure:
    """A file that could not be judged, and why."""

    path: Path
    cause: str


Outcome = Judgement | Failure


def line(outcome: Outcome) -> str:
    """One line: the verdict, the calibrated probability, what it rests on, what to be wary of."""
    if isinstance(outcome, Failure):
        return f"{shown(outcome.path)}: cannot be judged: {outcome.cause}"
    said = [f"{outcome.medium.name}: {outcome.verdict.upper() if outcome.verdict == 'fake' else outcome.verdict}"]
    if (track := outcome.decisive) is not None:
        said.append(f" (probability of fake {track.probability:.2f})")
    if outcome.why:
        said.append(f", {outcome.why}")
    if outcome.tracks:
        said.append(f"; {basis(outcome)}")
    said.append(f"; {outcome.detector.quality} detector, the file is {outcome.medium.quality}")
    if outcome.warnings:
        said.append(f"; beware: {'; '.join(outcome.warnings)}")
    return "".join(said)


def basis(judgement: Judgement) -> str:
    """How many faces of how many frames it rests on."""
    frames, people = len(judgement.frames), len(judgement.judged)
    if judgement.medium.photo:
        faces = len(judgement.sightings)
        few = f", {people} of them to judge by" if people < faces else ""
        return f"{faces} faces{few}" if faces > 1 else "a face"
    return f"a face in {judgement.with_face} of {frames} frames" + (f", {people} people" if people > 1 else "")


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """All that is known, for JSON."""
    if isinstance(outcome, Failure):
        return {"file": readable(str(outcome.path)), "error": outcome.cause}
    medium, detector, decisive = outcome.medium, outcome.detector, outcome.decisive
    return {
        "file": readable(str(medium.path)),
        "verdict": outcome.verdict,
        "probability_fake": None if decisive is None else _round(decisive.probability),
        "score": None if decisive is None else _round(decisive.score),
        "reason": outcome.why or None,
        "warnings": list(outcome.warnings),
        "frames": {"in_file": medium.frames, "looked_at": len(outcome.frames), "with_face": outcome.with_face},
        "medium": {
            "kind": "photo" if medium.photo else "video",
            "width": medium.width,
            "height": medium.height,
            "fps": None if medium.photo else float(medium.fps),
        },
        "quality": {
            "codec": medium.quality.codec,
            "bits_per_pixel": _round(medium.quality.bits),
            "quantiser": _round(medium.quality.quantiser) if medium.quality.read else None,
            "crf": round(medium.quality.crf, 1),
            "stated_by_encoder": medium.quality.stated,
        },
        "detector": {
            "name": detector.name,
            "method": detector.method,
            "trained_at": detector.quality,
            "manipulations": list(detector.manipulations),
            "runtime": outcome.runtime,
            "thresholds": _thresholds(outcome),
        },
        "tracks": [_track(track, outcome) for track in outcome.tracks],
    }


def as_json(rows: Sequence[Mapping[str, Any]]) -> str:
    """{"limits": ..., "results": [...]} of what `as_dict` gave, in the order of the files."""
    return json.dumps({"limits": LIMITS, "results": rows}, indent=1, allow_nan=False) + "\n"


COLUMNS = (
    "file", "verdict", "probability_fake", "score", "reason", "warnings", "frames_looked_at", "frames_with_face",
    "people", "detector", "trained_at", "codec", "crf", "error",
)  # fmt: skip


FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a cell begins with that spreadsheets work out


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """One row a file, of what `as_dict` gave."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(_row(row) for row in rows)
    return buffer.getvalue()


def _row(found: Mapping[str, Any]) -> dict[str, Any]:
    # A spreadsheet would take a name such as =1+1.mp4 for a formula, and work it out; ./ before it means the same file.
    file = f"./{found['file']}" if found["file"].startswith(FORMULA) else found["file"]
    if "error" in found:
        return {"file": file, "error": found["error"]}
    return {
        "file": file,
        **{key: found[key] for key in ("verdict", "probability_fake", "score", "reason")},
        "warnings": "; ".join(found["warnings"]),
        "frames_looked_at": found["frames"]["looked_at"],
        "frames_with_face": found["frames"]["with_face"],
        "people": len(found["tracks"]),
        "detector": found["detector"]["name"],
        "trained_at": found["detector"]["trained_at"],
        "codec": found["quality"]["codec"],
        "crf": found["quality"]["crf"],
    }


def _thresholds(outcome: Judgement) -> dict[str, float]:
    used = outcome.detector.image if len(outcome.frames) == 1 else outcome.detector.video
    return {"real_below": _round(used.real_below), "fake_above": _round(used.fake_above)}


def _track(track: Track, outcome: Judgement) -> dict[str, Any]:
    single = probabilities(track, outcome.detector)
    return {
        "track": track.number,
        "verdict": track.verdict,
        "probability_fake": None if track.probability is None else _round(track.probability),
        "score": None if track.score is None else _round(track.score),
        "reason": track.why or None,
        "faces": [
            {
                "frame": one.frame,
                "seconds": round(outcome.medium.seconds(one.frame), 3),
                "box": list(one.box),
                "score": _round(one.score),
                "probability_fake": _round(float(probability)),
                "usable": one.usable,
            }
            for one, probability in zip(track.sightings, single, strict=True)
        ],
    }


def _round(value: float | None) -> float:
    assert value is not None
    return round(float(value), 6)

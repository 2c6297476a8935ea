"""The command predict: judge files, whatever some of them are, and write what was asked for."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

from pipeline.serving import outputs
from pipeline.serving.inputs import gather, open_medium, shown
from pipeline.serving.loading import Family, load_family
from pipeline.serving.outputs import Failure, Outcome
from pipeline.serving.targets import output, require_places, targets
from pipeline.work import disk
from pipeline.work.errors import UserError, VideoError
from pipeline.work.files import is_stream, whole
from pipeline.work.parallel import Rejected, cores, map_videos

DEFAULT = Path("models/export")
MOST, FEW = 8, 4  # processes, of 0.4 GB each; files for which another one is worth its start
SOME = 3  # exit status where some files could not be judged
EPILOG = f"""\
exit status: 0 where every file was judged, whatever the verdict; 1 where nothing was begun (a wrong model, a folder
without files) or a result could not be written; 2 for a wrong command line; 3 where some files, or all, could not be
judged: each has its line, the rest is done; 130 where it was interrupted.

{outputs.LIMITS}"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.epilog = EPILOG
    add = parser.add_argument
    add("files", nargs="+", help="videos, photos, folders of them, or quoted patterns such as 'a/*.mp4'")
    add_model(parser)
    add("--quality", help="use the detector trained at this (raw, c23, ...), whatever the file is")
    add("--frames", type=int, metavar="N", help="frames to look at in each video")
    add("--json", type=output, metavar="FILE", help="write all that was found; - for standard output")
    add("--csv", type=output, metavar="FILE", help="write a row a file; - for standard output")
    add("--page", type=Path, metavar="FILE", help="write a page; with several files a folder of pages")
    drawn = "write the file with boxes and scores (.mp4, .png); with several files a folder"
    add("--annotate", type=Path, metavar="FILE", help=drawn)
    add("--heat", action="store_true", help="draw where the networks look into --annotate")
    about = "compute by torch, on a GPU where there is one; default: by onnxruntime, but for --page and --heat"
    add("--torch", action="store_true", help=about)
    add("--jobs", type=int, metavar="N", help=f"files at a time; default: one a core, {MOST} at most, by torch one")


def add_model(parser: ArgumentParser) -> None:
    about = f"what the export stage left; several times for several qualities; default: the one in {DEFAULT}"
    parser.add_argument("--model", type=Path, action="append", metavar="FOLDER", help=about)
    parser.add_argument("--onnx", action="store_true", help="compute by onnxruntime instead of torch")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of the networks; default: all cores")


def run(arguments: Namespace) -> int:
    """Returns the exit status. Raises: UserError where nothing can be judged."""
    _check(arguments)
    found = gather(arguments.files)
    files = found.files
    pages, videos = targets(arguments.page, files, "--page"), targets(arguments.annotate, files, "--annotate")
    tables = {"--json": arguments.json, "--csv": arguments.csv}
    require_places(files, {"--page": pages, "--annotate": videos, **{k: [path] for k, path in tables.items()}})
    maps = arguments.page is not None or arguments.heat  # Grad-CAM
    onnx = arguments.onnx or (False if maps or arguments.torch else None)
    side_by_side = arguments.jobs or (1 if onnx is False else max(1, min(cores(), MOST, len(files) // FEW)))
    threads = arguments.threads or (1 if side_by_side > 1 else None)
    folders = tuple(arguments.model or [only(DEFAULT)])
    judge = _Judge(folders, onnx, threads, arguments.quality, arguments.frames, arguments.heat)
    _family.cache_clear()  # its files may have changed
    judge.family()  # what is wrong with it is said before any work is done
    out = sys.stderr if Path("-") in tables.values() else sys.stdout
    rows, failed = [], 0
    jobs = [_Job(*job) for job in zip(files, pages, videos, strict=True)]
    told = map_videos(judge, jobs, workers=side_by_side, what="predict", name=lambda job: shown(job.file))
    try:
        for one in chain(told, (_told(Failure(path, cause)) for path, cause in found.left_out.items())):
            row, line = _told(Failure(one.item.file, one.cause)) if isinstance(one, Rejected) else one
            failed += "error" in row
            rows.append(row)
            print(line, file=out, flush=True)
    except KeyboardInterrupt:
        _write_tables(arguments, rows)  # hours of work, perhaps
        raise
    _write_tables(arguments, rows)
    return SOME if failed else 0


@dataclass(frozen=True)
class _Job:
    """A file, and where its page and its annotated version go."""

    file: Path
    page: Path | None
    video: Path | None


Told: TypeAlias = tuple[dict[str, Any], str]  # the row of the tables and the line for people; not the crops


@dataclass(frozen=True)
class _Judge:
    """Judge a job, here or in another process: each reads the detectors once."""

    folders: tuple[Path, ...]
    onnx: bool | None
    threads: int | None
    quality: str | None
    frames: int | None
    heat: bool

    def family(self) -> Family:
        return _family(self.folders, self.onnx, self.threads, self.quality)

    def __call__(self, job: _Job) -> Told:
        return _told(judge_file(job.file, self.family(), self.frames, job.page, job.video, self.heat))


@lru_cache(maxsize=1)
def _family(folders: tuple[Path, ...], onnx: bool | None, threads: int | None, quality: str | None) -> Family:
    return load_family(folders, onnx, threads, quality)


def _told(outcome: Outcome) -> Told:
    return outputs.as_dict(outcome), outputs.line(outcome)


def judge_file(
    file: Path, family: Family, count: int | None, page: Path | None, video: Path | None, heat: bool
) -> Outcome:
    """Judge one file, and write its page and its annotated version where they are wanted."""
    try:
        judgement = family.judge(open_medium(file), count=count)
        networks = family.networks(judgement.detector.quality)
        if page is not None:
            from pipeline.serving.page import page as render

            _write(page, render(judgement, networks))
        if video is not None:
            from pipeline.serving.annotating import annotate

            annotate(judgement, video, networks if heat else None)
    except VideoError as error:
        return Failure(file, str(error))
    except OSError as error:
        if isinstance(error, BrokenPipeError) or disk.full(error):
            raise
        return Failure(file, f"{shown(error.filename or file)}: {error.strerror}")
    return judgement


def only(folder: Path) -> Path:
    """The one detector in the folder that export fills. Raises: UserError where there is none, or a choice."""
    names = sorted(path.name for path in folder.glob("*") if path.is_dir()) if folder.is_dir() else []
    if len(names) == 1:
        return folder / names[0]
    if not names:
        hint = "dvc exp run -S 'pooled.tasks=[all]' -S 'export.methods=[add]'"
        raise UserError(f"{folder}: no detector here; make one by `{hint}`, or give --model")
    raise UserError(f"{folder}: holds {', '.join(names)}; choose one with --model {folder / names[0]}")


def _check(arguments: Namespace) -> None:
    for option in ("frames", "jobs", "threads"):
        value = getattr(arguments, option)
        if value is not None and value < 1:
            raise UserError(f"--{option} {value}: must be 1 or more")
    if arguments.onnx and arguments.torch:
        raise UserError("--onnx and --torch: choose one of them")
    if arguments.heat and (arguments.onnx or arguments.annotate is None):
        raise UserError("--heat goes with --annotate, and needs torch: leave out --onnx")


def _write_tables(arguments: Namespace, rows: Sequence[Mapping[str, Any]]) -> None:
    for target, form in ((arguments.json, outputs.as_json), (arguments.csv, outputs.as_csv)):
        if target is not None:
            _write(target, form(rows))


def _write(target: Path, text: str) -> None:
    if target == Path("-"):
        sys.stdout.write(text)
        return
    if is_stream(target):
        target.write_text(text, encoding="utf-8")
        return
    with whole(target) as part:
        part.write_text(text, encoding="utf-8")

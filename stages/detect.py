"""Find the face of each sampled frame of a set, on raw, and keep its pixels:
python -m stages.detect --videos data/raw/original --frames data/frames/original.parquet --out data/faces/original
"""

import argparse
from pathlib import Path

from pipeline.faces.detection import detect_set
from pipeline.faces.sampled import Search, When
from pipeline.params import schema as params
from pipeline.videos.sampling import COLUMNS
from pipeline.work.files import read_parquet
from stages import _cli


def main(arguments: argparse.Namespace) -> str:
    settings = params.load()
    done = detect_set(
        arguments.videos,
        read_parquet(arguments.frames, COLUMNS),
        arguments.out,
        Search(**settings.faces.model_dump()),
        workers=settings.video_workers,
        fakes=_fakes(settings, arguments.videos),
    )
    return f"{arguments.videos.name}: {done}"


def _fakes(settings: params.Params, videos: Path) -> dict[Path, When]:
    """The folders of what is made of these videos, and when it is compared with them."""
    if videos.name != "original":
        return {}
    brought: When = "always" if settings.source == "folder" else "unproved"
    made = {videos.with_name(name): brought if name in settings.published else "several" for name in settings.sets}
    return {folder: when for folder, when in made.items() if folder != videos and (folder / "manifest.csv").is_file()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=Path, required=True, help="folder of raw videos, beside the other sets'")
    parser.add_argument("--frames", type=Path, required=True, help="parquet file of the sampled frames")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    _cli.run(parser, main)

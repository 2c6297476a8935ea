"""add-deepfake, or python -m pipeline.serving: verdicts of a shipped detector.

add-deepfake predict clip.mp4 photo.jpg folder/ 'more/*.webm' --model models/export/NAME
add-deepfake app
"""

import argparse
import sys
from collections.abc import Sequence

from pipeline.serving import predicting
from pipeline.serving.app import command as app
from pipeline.work import disk
from pipeline.work.errors import UserError


def main(given: Sequence[str] | None = None) -> int:
    """Run a command; a mendable error is one line and exit status 1."""
    parser = argparse.ArgumentParser(prog="add-deepfake", description="Verdicts of a shipped deepfake detector.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    predict = commands.add_parser(
        "predict",
        help="judge videos and photos",
        description="Judge videos and photos: real, fake or undecided, and what it rests on.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    predicting.add_arguments(predict)
    predict.set_defaults(run=predicting.run)
    page = commands.add_parser("app", help="a page in the browser to try it on", description=app.ABOUT)
    app.add_arguments(page)
    page.set_defaults(run=app.run)
    arguments = parser.parse_args(given)
    try:
        return int(arguments.run(arguments))
    except UserError as error:
        print(f"{arguments.command}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if told := disk.full(error):
            print(f"{arguments.command}: {told}", file=sys.stderr)
            return 1
        raise


if __name__ == "__main__":
    sys.exit(main())

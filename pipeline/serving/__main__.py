"""add-deepfake, or python -m pipeline.serving: verdicts of a shipped detector.

add-deepfake predict clip.mp4 photo.jpg folder/ 'more/*.webm' --model models/export/NAME
add-deepfake app
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence

from pipeline.serving import predicting
from pipeline.serving.app import command as app
from pipeline.work import disk, streams
from pipeline.work.errors import UserError

INTERRUPTED = 130  # exit status, as shells have it


def main(given: Sequence[str] | None = None) -> int:
    """Run a command; a mendable error is one line and exit status 1."""
    streams.require()
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
    for stream in (sys.stdout, sys.stderr):  # a name may hold letters that this terminal has not
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return int(arguments.run(arguments))
    except UserError as error:
        print(f"{arguments.command}: {error}", file=sys.stderr)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        cause = disk.barred(error) or f"{error.filename or 'writing'}: {error.strerror}"
        print(f"{arguments.command}: {cause}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"{arguments.command}: interrupted; what was written until now is whole", file=sys.stderr)
        return INTERRUPTED
    return 1


if __name__ == "__main__":
    sys.exit(main())

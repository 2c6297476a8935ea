"""The command app: what it takes, and what must be there before it starts."""

import os
import socket
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.serving.predicting import DEFAULT
from pipeline.work.errors import UserError

CLIPS = Path("data/raw")
ABOUT = "A page in the browser, on this machine alone: verdicts, and one clip at several compressions."
INSTALL = "`make app` sets it up in the project's folder; elsewhere `pip install gradio`"


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    about = f"a detector that the export stage left; several times for several; default: all in {DEFAULT}"
    add("--model", type=Path, action="append", metavar="FOLDER", help=about)
    add("--clips", type=Path, default=CLIPS, metavar="FOLDER", help="the run's raw videos to choose from (%(default)s)")
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on; default: this machine alone")
    add("--port", type=int, default=7860, metavar="N", help="port to listen on (%(default)s); 0: any that is free")
    add("--largest", type=int, default=200, metavar="MB", help="size of the largest file that is taken (%(default)s)")
    add("--threads", type=int, metavar="N", help="threads of the networks; default: all cores")


def run(arguments: Namespace) -> int:
    """Serve the page until it is interrupted. Raises: UserError where it cannot be served."""
    _check(arguments)
    from pipeline.serving.app.detectors import load_detectors  # torch comes with it, which predict may lack

    detectors = load_detectors(arguments.model or found(DEFAULT), arguments.threads)
    listening = _listen(arguments.host, arguments.port)
    with listening, TemporaryDirectory(prefix="add-deepfake-") as uploads:
        # Read when gradio is imported: where uploads go, and that nothing is told to its makers.
        os.environ |= {"GRADIO_TEMP_DIR": uploads, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
        from pipeline.serving.app.server import serve

        serve(listening, arguments.host, detectors, arguments.clips, arguments.largest)
    return 0


def found(folder: Path) -> Sequence[Path]:
    """The detectors in the folder that export fills. Raises: UserError where there is none."""
    names = sorted(path for path in folder.glob("*") if path.is_dir())
    if not names:
        hint = "dvc exp run -S 'pooled.tasks=[all]' -S 'export.methods=[add,baseline]'"
        raise UserError(f"{folder}: no detector here; make them by `{hint}`, or give --model")
    return names


def _check(arguments: Namespace) -> None:
    if missing := [name for name in ("gradio", "torch") if find_spec(name) is None]:
        raise UserError(f"{' and '.join(missing)} not installed, which the page needs: {INSTALL}")
    for option in ("largest", "threads"):
        value = getattr(arguments, option)
        if value is not None and value < 1:
            raise UserError(f"--{option} {value}: must be 1 or more")
    if not 0 <= arguments.port < 2**16:
        raise UserError(f"--port {arguments.port}: must lie in 0..65535")
    if _everywhere(arguments.host):
        raise UserError(f"--host {arguments.host}: name the one address by which others reach this machine")


def _everywhere(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    """Taken before anything is loaded into gradio, so that a port in use is one line."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        cause = error.strerror or str(error)
        raise UserError(f"--host {host} --port {port}: cannot be listened on ({cause}); give another --port") from None

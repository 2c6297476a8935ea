"""Stages that compute with a network start as forks of one process that has their libraries loaded.

Loading torch, what torch loads to optimise, and MLflow takes 10 CPU seconds, more than a third of a short training's.
`python -m pipeline.jobs` starts the process on machines without a GPU (CUDA does not survive a fork); a stage that
finds its address in ADD_WARM hands itself over and waits. Libraries alone are loaded: the project's own code is read
by each stage anew, so that what runs is what DVC records.
"""

import errno
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

ADDRESS = "ADD_WARM"  # the variable that holds the path of its socket
LIBRARIES = (
    "torch", "torch._dynamo", "torchvision", "safetensors.torch", "webdataset", "cv2", "pandas", "pyarrow.parquet",
    "sklearn.metrics", "mlflow",
)  # fmt: skip
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PREFIX, SOCKET = "add-", "warm"  # its folder in that for temporary files, and its name there
COMMAND = (sys.executable, "-m", "pipeline.work.warm")


@contextmanager
def server(environment: Mapping[str, str], command: Sequence[str] = COMMAND) -> Iterator[dict[str, str]]:
    """Start the process, and end it at the end; gives the variable that tells stages of it.

    environment: variables that libraries read when they are loaded, such as OMP_NUM_THREADS.
    """
    _clear()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:  # of this user alone: who asks has any code run
        path = str(Path(folder, SOCKET))
        with socket.socket(socket.AF_UNIX) as listening:  # from now on stages can ask, and wait until it is ready
            listening.bind(path)
            listening.listen(64)
            number = listening.fileno()
            process = subprocess.Popen(
                [*command, str(number)],
                env=os.environ | dict(environment),
                pass_fds=[number],
                stdin=subprocess.PIPE,  # it ends when its stdin does: also where this process is killed
            )
        try:
            yield {ADDRESS: path}
        finally:
            process.communicate()


def _clear() -> None:
    """Remove the sockets of runs that were killed together with their warm process, as by the end of a container."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{SOCKET}"):
        with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.setblocking(False)
            if path.is_socket() and connection.connect_ex(str(path)) == errno.ECONNREFUSED:
                _remove(path)


def _remove(path: Path) -> None:
    """Remove a socket and its folder."""
    with suppress(OSError):
        path.unlink()
        path.parent.rmdir()


def hand_over(address: str, module: str) -> int | None:
    """Let the process at `address` run the stage `module` with this process's command line; its exit status.

    None where nobody is there: the stage then runs where it is.
    """
    order = {"module": module, "arguments": sys.argv, "folder": str(Path.cwd()), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(address)
        except OSError:
            return None
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the fork gets it too, and ends with it
        socket.send_fds(connection, [b"."], [0, 1, 2])
        connection.sendall(json.dumps(order).encode() + b"\n")
        status = connection.recv(1)
    if not status:
        print(f"{module}: its process was killed (out of memory?)", file=sys.stderr)
    return status[0] if status else 1


def serve(number: int) -> None:
    """Wait for stages at the listening socket with this file descriptor, and run each in a fork; to stdin's end."""
    # Of a terminal or a scheduler to all processes: this one still has to clear up.
    handlers = {ending: signal.signal(ending, signal.SIG_IGN) for ending in ENDINGS}
    with socket.socket(fileno=number) as listening, selectors.DefaultSelector() as waiting:
        for name in LIBRARIES:
            with suppress(ImportError):
                importlib.import_module(name)
        waiting.register(listening, selectors.EVENT_READ)
        waiting.register(0, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in waiting.select()}
            if 0 in ready:
                _remove(Path(listening.getsockname()))  # for who started it may have been killed
                return _reap(0)
            _reap(os.WNOHANG)
            connection, _ = listening.accept()
            if os.fork() == 0:
                break  # which closes what the fork has no use for
            connection.close()
    for ending, handler in handlers.items():  # as who started it had them: nohup ignores SIGHUP
        signal.signal(ending, handler)
    _run(connection)


def _reap(options: int) -> None:
    """Collect the forks that have ended, so that their time counts as this process's."""
    with suppress(ChildProcessError):  # there are none
        while os.waitpid(-1, options)[0]:
            pass


def _run(connection: socket.socket) -> None:
    """Run the stage that the connection asks for, as `python -m` would."""
    _, files, *_ = socket.recv_fds(connection, 1, 3)
    if not files:  # who asked is gone already, or only asked whether somebody is here
        return
    for file, own in zip(files, (0, 1, 2), strict=True):
        os.dup2(file, own)
        os.close(file)
    order = json.loads(connection.makefile("rb").readline())
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update({name: value for name, value in order["environment"].items() if name != ADDRESS})
    sys.argv, sys.path[0] = order["arguments"], order["folder"]

    def end_with_the_other() -> None:
        connection.recv(1)
        os._exit(1)

    threading.Thread(target=end_with_the_other, daemon=True).start()
    status: int | str | None = 0
    try:
        runpy.run_module(order["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code
        if isinstance(status, str):
            print(status, file=sys.stderr, flush=True)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    code = 1 if isinstance(status, str) else int(status or 0)
    connection.sendall(bytes([code & 255]))
    sys.exit(code)


if __name__ == "__main__":
    serve(int(sys.argv[1]))

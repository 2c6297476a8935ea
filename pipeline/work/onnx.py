"""onnxruntime, loaded so that it tells nobody: the only module that may import it."""

import os
from types import ModuleType

VARIABLE = "ORT_DISABLE_TELEMETRY"


def runtime() -> ModuleType:
    """The module onnxruntime.

    Since 1.29 its official builds for Linux and macOS report the process and each session to their maker over the
    network, and leave an identifier on the disk (microsoft/onnxruntime#27379). That is turned off by a variable alone,
    and only before it is loaded; a user's own word in it counts.
    """
    os.environ.setdefault(VARIABLE, "1")
    import onnxruntime

    return onnxruntime

"""Standard streams that are closed, as `2>&-`, some schedulers and services leave them."""

import os
import sys


def require() -> None:
    """Have closed standard streams lead nowhere.

    Python has None for them, which no print to them survives; and the next file that is opened would get their number,
    and with it what ffmpeg and libraries have to say.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in the order of their numbers
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115  to the end of the process

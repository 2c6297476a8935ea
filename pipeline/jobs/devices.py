"""The GPUs of this machine, found without torch, which takes seconds to load where there is none."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
DRIVERS = ("/proc/driver/nvidia", "/dev/dxg", "/dev/kfd")  # there where a driver is loaded: NVIDIA's, Windows's, AMD's
TORCH = (sys.executable, "-m", "pipeline.detectors.device")  # what torch says of the GPUs that it sees
SECONDS = 60  # that a driver may take to answer, asleep as it is where nobody keeps it loaded


def gpus() -> list[str]:
    """This machine's GPUs, or those of them that CUDA_VISIBLE_DEVICES leaves, each by a value for that variable."""
    if not any(Path(driver).exists() for driver in DRIVERS):
        return []
    listing = _answer("nvidia-smi", "-L")
    visible = os.environ.get(VISIBLE)
    if listing is not None:
        return usable(chosen(parse(listing), visible))
    # A container without nvidia-smi, or another maker's GPUs: torch counts what the variable leaves.
    count = int(_answer(sys.executable, "-c", "import torch; print(torch.cuda.device_count())") or 0)
    names = [str(index) for index in range(count)] if visible is None else [name.strip() for name in visible.split(",")]
    return usable(names[:count])


def parse(listing: str) -> list[list[str]]:
    """What `nvidia-smi -L` lists: for each GPU its UUID, followed by those of its MIG devices."""
    found: list[list[str]] = []
    for line in listing.splitlines():
        uuid = re.search(r"\(UUID: ([^)\s]+)\)", line)
        if not uuid:
            continue
        if line.startswith("GPU"):
            found.append([uuid[1]])
        elif found:
            found[-1].append(uuid[1])
    return found


def chosen(listed: Sequence[Sequence[str]], visible: str | None) -> list[str]:
    """Of the listed GPUs, those that `visible`, a value of CUDA_VISIBLE_DEVICES, leaves; None leaves all.

    GPUs are given by their UUIDs, since CUDA numbers them by speed and nvidia-smi by their place on the bus. A GPU that
    is divided by MIG gives its parts. As in CUDA, a name in `visible` may be an index or the start of a UUID, and the
    first that is wrong ends the list; names are passed on as they stand there.
    """
    if visible is None:
        return [name for gpu in listed for name in (gpu[1:] or gpu)]
    found: list[str] = []
    for name in (part.strip() for part in visible.split(",")):
        index = name.isdecimal() and int(name) < len(listed)
        uuid = name.startswith(("GPU-", "MIG-")) and any(known.startswith(name) for gpu in listed for known in gpu)
        older = name.startswith("MIG-GPU-")  # MIG-<UUID of its GPU>/<instance>/<instance>, before driver 470
        if not (index or uuid or older) or name in found:
            break
        found.append(name)
    return found


def usable(names: Sequence[str]) -> list[str]:
    """Those of the GPUs that torch can use; it says why it cannot use the others, and hides them from what it starts.

    nvidia-smi also lists GPUs whose driver is older than torch's CUDA, and GPUs that torch has no kernels for.
    """
    said = _answer(*TORCH, **{VISIBLE: ",".join(names)}) if names else None
    if said is None:  # torch does not start: a stage tells why
        return list(names)
    causes = json.loads(said) or ["it sees no GPU, as a build without CUDA would"]
    causes += causes[-1:] * (len(names) - len(causes))  # of the parts of a GPU (MIG) CUDA shows a process one
    found = [name for name, cause in zip(names, causes, strict=False) if not cause]
    for name, cause in zip(names, causes, strict=False):
        if cause:
            print(f"jobs: GPU {name} is left out, torch cannot use it: {cause} (docs/scaling.md)", file=sys.stderr)
    if not found:
        os.environ[VISIBLE] = ""
    return found


def _answer(*command: str, **variables: str) -> str | None:
    """What a program prints, or None where it cannot."""
    try:
        settings = os.environ | variables
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS, env=settings)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout

"""Where the decoded crops lie: on the training's device, in memory, or on the disk."""

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import torch
from torch import Tensor

from pipeline.loading.crops import Crops
from pipeline.work.errors import UserError
from pipeline.work.progress import progress
from pipeline.work.resume import scratch_root

# The shares of what is free that `auto` takes: a GPU also holds the training; memory is shared by those that run at
# once, as many as cores where they train there.
OF_DEVICE, OF_MEMORY = 1 / 2, 1 / 8
BLOCK = 256  # crops that are decoded between two copies to the device
CGROUPS = (  # a container's own limit and use, of both versions
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def choose(place: str, needed: int, device: torch.device) -> str:
    """device, memory or disk: the place itself, for `auto` the first that has room for so many bytes.

    On a CPU the device is memory.
    """
    if place != "auto":
        return place
    if device.type == "cuda" and needed <= OF_DEVICE * torch.cuda.mem_get_info(device)[0]:
        return "device"
    share = OF_MEMORY if device.type == "cuda" else min(OF_MEMORY, 1 / (os.cpu_count() or 1))
    return "memory" if needed <= share * free_memory() else "disk"


def free_memory() -> int:
    """Bytes of memory that can be had: of the machine, or less where a container has a limit."""
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):  # not Linux: half of what is built in
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    for limit, used in CGROUPS:
        try:
            free = min(free, int(Path(limit).read_text()) - int(Path(used).read_text()))
        except (OSError, ValueError):  # no such group, or no limit ("max")
            continue
    return max(free, 0)


def hold(crops: Crops, place: str, device: torch.device) -> dict[str, Tensor]:
    """All crops, decoded once by threads: quality -> (N, stored, stored, 3) uint8 at the place."""
    shape = crops.shape(len(crops))
    if place == "disk":
        held = {quality: _mapped(shape, scratch_root()) for quality in crops.qualities}
    else:
        where = device if place == "device" else torch.device("cpu")
        held = {quality: torch.empty(shape, dtype=torch.uint8, device=where) for quality in crops.qualities}
    starts = range(0, len(crops), BLOCK)
    with ThreadPoolExecutor() as pool:
        for start in progress(starts, len(starts), f"decode {crops.bytes / 2**30:.1f} GiB of crops", "block"):
            rows = np.arange(start, min(start + BLOCK, len(crops)))
            for quality, pixels in crops.read(rows, pool.map).items():
                held[quality][start : start + len(rows)] = torch.from_numpy(pixels)
    return held


def _mapped(shape: Sequence[int], folder: Path) -> Tensor:
    """A tensor that lies in a file of the folder without a name, so that nothing is left of it however a run ends.

    The system keeps in memory what of it has room. Raises: UserError where the disk has no room for all.
    """
    size = math.prod(shape)
    folder.mkdir(parents=True, exist_ok=True)
    allocate = getattr(os, "posix_fallocate", lambda file, start, length: os.truncate(file, length))  # not on a Mac
    with NamedTemporaryFile(dir=folder, prefix="crops-") as file:
        try:
            allocate(file.fileno(), 0, size)  # else a full disk would kill the process as it writes
        except OSError as error:
            lack = f"{folder}: no room for {size / 1e9:.1f} GB of decoded crops ({error.strerror})"
            raise UserError(f"{lack}: free some, or set loader.place to memory") from None
        return torch.from_file(file.name, shared=True, size=size, dtype=torch.uint8).view(*shape)

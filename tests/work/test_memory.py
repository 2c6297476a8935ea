"""malloc keeps large blocks: one that is made again and again takes its pages from the kernel once."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = """
import ctypes, resource, sys
from pipeline.work.memory import keep_freed

libc, size = ctypes.CDLL(None), ctypes.c_size_t(64_000_000)  # above the 32 MiB to which glibc may raise its threshold
libc.malloc.restype = ctypes.c_void_p
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
if sys.argv[1] == "keep":
    keep_freed()
if sys.argv[1] == "older":
    real, older = libc.mallopt, lambda option, value: 0 if option == -3 else real(option, value)
    ctypes.CDLL = lambda name: type("", (), {"mallopt": staticmethod(older)})
    keep_freed()
before = faults()
for _ in range(20):
    block = ctypes.c_void_p(libc.malloc(size))
    libc.memset(block, 1, size)
    libc.free(block)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc")
def test_large_blocks_are_reused() -> None:
    """Also by a glibc that refuses so high a threshold."""
    root = Path(__file__).parents[2]
    kept, older, given_back = (
        int(subprocess.run([sys.executable, "-c", FAULTS, how], cwd=root, capture_output=True, check=True).stdout)
        for how in ("keep", "older", "leave")
    )
    assert max(kept, older) * 3 < given_back

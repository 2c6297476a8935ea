"""malloc keeps large blocks: a tensor made again and again takes its pages from the kernel once."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = """
import resource, sys
import numpy as np
from pipeline.work.memory import keep_freed

if sys.argv[1] == "keep":
    keep_freed()
for _ in range(20):
    np.ones(4_000_000)  # 32 MB: 7,800 pages
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc")
def test_large_blocks_are_reused() -> None:
    root = Path(__file__).parents[2]
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", FAULTS, how], cwd=root, capture_output=True, check=True).stdout)
        for how in ("keep", "leave")
    )
    assert kept * 3 < given_back

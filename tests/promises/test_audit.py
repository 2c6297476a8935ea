"""make audit tells findings from a service that does not answer; make sbom lists what the lock installs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WEAK = {"name": "numpy", "version": "1.0", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}]}
GOOD = {"name": "scipy", "version": "1.0", "vulns": []}
UNKNOWN = {"name": "mine", "skip_reason": "not found"}


def audit(tmp_path: Path, printed: str, said: str, status: int) -> subprocess.CompletedProcess[str]:
    """.ci/audit.py with another program in pip-audit's place."""
    (tmp_path / "pip_audit.py").write_text(
        f"import sys\nassert 'some.lock' in sys.argv\nprint({printed!r})\nprint({said!r}, file=sys.stderr)\n"
        f"sys.exit({status})\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, str(ROOT / ".ci/audit.py"), "some.lock"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("packages", "said", "status", "exits", "tells"),
    [
        ([WEAK, GOOD], "Found 1 known vulnerability", 1, 1, "numpy 1.0: CVE-1, mended in 1.1\naudit: 1 of 2 packages"),
        (
            [GOOD, UNKNOWN],
            "",
            0,
            0,
            "audit: 0 of 1 packages looked up .*\naudit: 1 could not be looked up, such as mine",
        ),
        ([WEAK, UNKNOWN], "", 1, 1, "audit: 1 of 1 packages looked up"),
        (
            None,
            "ERROR: Failed to connect to pypi.org: timed out",
            1,
            0,
            "no service could be reached, nothing is known",
        ),
        (None, "ERROR: some.lock: hash is missing", 1, 2, ""),
        (None, "", 1, 2, ""),
    ],
)
def test_the_status_is_that_of_what_is_known(
    packages: list[dict] | None, said: str, status: int, exits: int, tells: str, tmp_path: Path
) -> None:
    printed = "" if packages is None else json.dumps({"dependencies": packages, "fixes": []})
    done = audit(tmp_path, printed, said, status)
    assert done.returncode == exits and re.search(tells, done.stdout), (done.stdout, done.stderr)


def test_the_bill_of_materials_is_the_lock() -> None:
    command = [sys.executable, str(ROOT / ".ci/sbom.py"), str(ROOT / "requirements.lock")]
    bill = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    lock = (ROOT / "requirements.lock").read_text()
    assert bill["bomFormat"] == "CycloneDX"
    found = {f"{part['name']}=={part['version']}": len(part["hashes"]) for part in bill["components"]}
    assert set(found) == set(re.findall(r"^[\w.-]+==[^\s;]+", lock, re.MULTILINE))
    assert sum(found.values()) == len(set(re.findall(r"(?m)^.*--hash=sha256:(\w+)", lock)))

"""Known weaknesses of the packages in requirements.lock, by pip-audit: make audit

Exit status 1 where one is known. Where the service does not answer, or does not know a package, it says so, with status
0 if nothing else is found: that is no finding, and no acquittal.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

OPTIONS = ("--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json")
UNREACHED = ("connect", "timed out", "timeout", "resolve", "max retries", "service", "proxy", "ssl")


def main(lock: str) -> int:
    command = [sys.executable, "-m", "pip_audit", "--requirement", lock, *OPTIONS]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        said = (done.stderr.strip() or "no answer").splitlines()[-1]
        if any(word in said.lower() for word in UNREACHED):
            print(f"audit: no service could be reached, nothing is known of {lock} ({said})")
            return 0
        print(f"audit: pip-audit failed: {said}", file=sys.stderr)
        return 2
    return told(lock, packages)


def told(lock: str, packages: Sequence[dict[str, Any]]) -> int:
    """Say what was found of the packages, as pip-audit lists them; the exit status."""
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    weak = [package for package in packages if package.get("vulns")]
    for package in weak:
        for found in package["vulns"]:
            mended = ", ".join(found.get("fix_versions", ())) or "no version yet"
            print(f"{package['name']} {package['version']}: {found['id']}, mended in {mended}")
    known = len(packages) - len(skipped)
    print(f"audit: {len(weak)} of {known} packages looked up in {lock} have known weaknesses")
    if skipped:
        print(
            f"audit: {len(skipped)} could not be looked up, such as {', '.join(skipped[:3])}: nothing is known of them"
        )
    return 1 if weak else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""Where a report comes from: commit, params, versions, hardware. No paths, no host names."""

import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml

from pipeline.params.schema import Params
from pipeline.videos import reading

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "opencv-python-headless",
    "dlib-bin",
    "webdataset",
    "dvc",
    "mlflow",
    "matplotlib",
)


def provenance(params: Params) -> dict[str, str]:
    """What the report was made with, by name. The hardware is that of the machine that wrote the report."""
    commit = _output("git", "rev-parse", "HEAD")
    changed = _output("git", "status", "--porcelain", "--untracked-files=no")
    state = "not known (no git)" if not commit else f"{commit} {'with uncommitted changes' if changed else '(clean)'}"
    facts = {"git commit": state, "source of the videos": params.source, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "not installed"
    facts["ffmpeg"] = reading.version()
    facts["system"] = f"{platform.system()} {platform.machine()}"
    facts["CPU"] = _cpu()
    facts["GPU"] = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").replace("\n", ", ") or "none"
    return facts


def shown_params(params: Params) -> str:
    """All params as YAML; of an absolute path only its last part, as it names the user's machine."""
    return yaml.safe_dump(_without_paths(params.model_dump(mode="json")), sort_keys=False, allow_unicode=True)


def _without_paths(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_paths(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_paths(inner) for inner in value]
    if isinstance(value, str) and Path(value).expanduser().is_absolute():
        return f"…/{Path(value).name}"
    return value


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor() or "not known"


def _output(*command: str) -> str:
    """The output of a command, empty where it is not there or fails."""
    if shutil.which(command[0]) is None:
        return ""
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else ""

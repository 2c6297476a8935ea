"""A clone of the repository with other params, work in progress included, to run the real graph in."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from pipeline.params import presets

ROOT = Path(__file__).parents[2]


def merge(base: dict, changes: dict) -> dict:
    """Nested params with some of them changed."""
    return base | {k: merge(base[k], v) if isinstance(v, dict) else v for k, v in changes.items()}


def run(folder: Path, *command: str, threads: int = 2) -> str:
    """The output of a command in the clone; a failure shows it."""
    # The clone's own stores and code: nothing of the outer run may be seen.
    own = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "DVC_"))}
    env = own | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout + done.stderr


def clone(folder: Path, changes: dict, preset: str = "") -> Path:
    """Clone into `folder`; its params.yaml has the preset and then these changes, committed."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    for name in run(ROOT, "git", "ls-files", "--modified", "--others", "--exclude-standard").split():
        if (ROOT / name).is_file():  # work in progress is tested too
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    file = folder / "params.yaml"
    settings = yaml.safe_load(presets.text(preset, file, folder / "presets") if preset else file.read_text())
    (folder / "params.yaml").write_text(yaml.safe_dump(merge(settings, changes), sort_keys=False))
    run(folder, "git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-a", "-m", "small",
        "--allow-empty")  # fmt: skip
    return folder

"""Where a training that was killed goes on: a scratch file outside DVC's outs, which DVC deletes before each run."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pipeline.work.files import whole


class Checkpoint:
    """One training's resume file, found again by what went into the training.

    The key is the hash of the params and of the inputs' bytes: another beta, another teacher or other shards never
    resume from it. It lives in .scratch/ of the main checkout (DVC_ROOT) and is removed when the training is done.
    """

    def __init__(self, settings: Mapping[str, Any], inputs: Sequence[Path]) -> None:
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
        for path in inputs:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        root = Path(os.environ.get("DVC_ROOT", "."))
        self.path = root / ".scratch" / f"{digest.hexdigest()[:24]}.pt"

    def save(self, state: Mapping[str, Any]) -> None:
        with whole(self.path) as part:
            torch.save(dict(state), part)

    def load(self) -> dict[str, Any] | None:
        """The last state saved, or None for a fresh start (also where the file is damaged: training starts over)."""
        try:
            return dict(torch.load(self.path, weights_only=True))
        except FileNotFoundError:
            return None
        except Exception as error:
            print(f"{self.path}: cannot resume ({str(error).splitlines()[0]}); training starts over", flush=True)
            return None

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)

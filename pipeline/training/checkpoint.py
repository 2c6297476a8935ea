"""Where a training that was killed goes on: a scratch file outside DVC's outs, which DVC deletes before each run."""

import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pipeline.work.files import whole
from pipeline.work.resume import code

# Whose code a training depends on; that of the others (work, params, tracking) changes no result.
ROOMS = ("pipeline.training.", "pipeline.losses.", "pipeline.loading.", "pipeline.detectors.", "pipeline.crops.")


class Checkpoint:
    """One training's resume file, found again by what went into the training.

    The key is the hash of the params, of the inputs' bytes and of the code that is loaded: another beta or teacher,
    other shards or a changed loss never resume from it. It lives in .scratch/ of the main checkout (DVC_ROOT) and is
    removed when the training is done.
    """

    def __init__(self, settings: Mapping[str, Any], inputs: Sequence[Path]) -> None:
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
        digest.update(code(ROOMS))
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
            return dict(torch.load(self.path, weights_only=True, map_location="cpu"))
        except FileNotFoundError:
            return None
        except Exception as error:
            self.refuse(error)
            return None

    def refuse(self, error: Exception) -> None:
        """Say that the training starts over, and why."""
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        print(f"{self.path}: cannot resume ({reason}); training starts over", file=sys.stderr, flush=True)

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)

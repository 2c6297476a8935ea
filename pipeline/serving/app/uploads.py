"""Files that were dropped on the page: each goes as soon as its tab shows another, or is closed."""

from pathlib import Path


class Uploads:
    """At most one file a session (an open tab); equal files of two sessions may be one."""

    def __init__(self) -> None:
        self._held: dict[str, Path] = {}

    def keep(self, session: str, path: Path | None) -> None:
        """The session now shows this file, or none; the one before is removed."""
        before = self._held.pop(session, None)
        if path is not None:
            self._held[session] = path
        if before is not None and before not in self._held.values():
            before.unlink(missing_ok=True)

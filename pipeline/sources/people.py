"""Who is seen in which file of a user's folder: by a table, by its folders, or each file another person."""

from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

from pipeline.sources.finding import Found
from pipeline.sources.names import composed, of_people, readable
from pipeline.sources.tables import Files, read_table
from pipeline.work.errors import UserError
from pipeline.work.files import located

FOLDERS = "folders"


class People:
    """option: params.folder.people; found: the files of the folder `root`.

    Raises: UserError for a table that cannot be read, or that lists a file twice or one that is not there.
    """

    def __init__(self, option: str | None, found: Found, root: Path) -> None:
        self._option = option
        self._listed = {} if option in (None, FOLDERS) else _read(located(str(option)), found, root)

    @property
    def listed(self) -> Collection[str]:
        """The files of the table, which are known by these names."""
        return self._listed.keys()

    def of(self, files: Sequence[str], names: Sequence[str]) -> dict[str, str]:
        """file -> person. names: of the files, which are their people's too where nothing else is said."""
        if self._option is None:
            return dict(zip(files, names, strict=True))
        said = {file: self._said(file) for file in files}
        people = sorted(set(said.values()))
        named = dict(zip(people, of_people(people), strict=True))
        return {file: named[person] for file, person in said.items()}

    def lacks(self, file: str) -> str | None:
        """Why nobody is known for a file; None where somebody is."""
        if self._option is None or self._said(file):
            return None
        if self._option == FOLDERS:
            return "lies in no folder of a person (folder.people: folders)"
        return f"folder.people {'names no person for' if file in self._listed else 'does not list'} {readable(file)}"

    def _said(self, file: str) -> str:
        if self._option == FOLDERS:
            folder = str(PurePosixPath(file).parent)
            return "" if folder == "." else composed(readable(folder))
        return composed(readable(self._listed.get(file, "")))


def _read(path: Path, found: Found, root: Path) -> dict[str, str]:
    """file -> person, empty where the table has none. What was left out of the folder may stand in it."""
    table = read_table(path, "folder.people", ["file", "person"])
    known = Files(found.files)
    listed: dict[str, str] = {}
    for text, person in zip(table["file"], table["person"], strict=True):
        file = known.find(text)
        if file is None and not found.lost(text):
            raise UserError(f"folder.people: {readable(text)} is not a real video in {root}")
        if file in listed:
            raise UserError(f"folder.people: {path} lists {readable(text)} twice")
        if file is not None:
            listed[file] = person
    return listed

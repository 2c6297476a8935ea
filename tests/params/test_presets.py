"""presets/*.yaml over params.yaml: one whole, valid, commented file, and nobody's changes are lost."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.params.presets import apply, text
from pipeline.params.schema import READER, check, load
from pipeline.work.errors import UserError

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "presets").glob("*.yaml"))


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet")
    git("add", "-A")
    git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "start")
    return tmp_path


def git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True)


def paths(values: dict, prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in values.items():
        found |= paths(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_changes_what_it_names_and_nothing_else(name: str) -> None:
    merged = READER.load(text(name, ROOT / "params.yaml", ROOT / "presets"))
    check(merged, Path(name))
    base = paths(READER.load((ROOT / "params.yaml").read_text()))
    changes = paths(READER.load((ROOT / f"presets/{name}.yaml").read_text()))
    assert paths(merged) == base | changes
    same = [key for key, value in changes.items() if base.get(key, "new") == value]
    assert not same, f"presets/{name}.yaml repeats what params.yaml says: {same}"


@pytest.mark.parametrize("name", NAMES)
def test_comments_are_kept_and_the_head_is_the_presets(name: str) -> None:
    merged = text(name, ROOT / "params.yaml", ROOT / "presets")
    own = (ROOT / f"presets/{name}.yaml").read_text()
    assert merged.startswith(own.partition("\n\n")[0]) and "git restore params.yaml" in merged
    comments = re.findall(r"#.*", (ROOT / "params.yaml").read_text().partition("\n\n")[2])
    assert len(comments) > 50 and [comment for comment in comments if comment not in merged] == []
    assert "embedded sample" not in merged


def test_it_is_applied_once_and_git_brings_the_sample_back(repository: Path) -> None:
    before = (repository / "params.yaml").read_bytes()
    assert "git restore" in apply("study")
    assert load().source == "sample_and_folder"
    applied = (repository / "params.yaml").read_bytes()
    with pytest.raises(UserError, match=r"has changes.*git restore"):
        apply("faceforensics")
    assert (repository / "params.yaml").read_bytes() == applied
    git("restore", "params.yaml")
    assert (repository / "params.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("train: {epoch: 3}\n", r"presets/mine.yaml: train.epoch: no such param; is epochs meant"),
        ("alhpa: 1\n", r"presets/mine.yaml: alhpa: no such param; is alpha meant"),
        ("sets: [original]\n", r"presets/mine.yaml: sets must hold"),
        ("train: [\n", r"presets/mine.yaml: not valid YAML"),
        ("- 1\n", r"presets/mine.yaml: holds no params"),
        ("", r"presets/mine.yaml: holds no params"),
    ],
)
def test_a_bad_preset_is_named_and_changes_nothing(repository: Path, content: str, message: str) -> None:
    (repository / "presets/mine.yaml").write_text(content)
    before = (repository / "params.yaml").read_bytes()
    with pytest.raises(UserError, match=message):
        apply("mine")
    assert (repository / "params.yaml").read_bytes() == before
    with pytest.raises(UserError, match="no such preset; there are celebdf"):
        apply("nothing")

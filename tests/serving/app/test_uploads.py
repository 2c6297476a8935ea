"""Dropped files go: when another is shown, when the tab closes; never one that another tab still shows."""

from pathlib import Path

from pipeline.serving.app.uploads import Uploads


def test_a_file_goes_when_its_tab_shows_another(tmp_path: Path) -> None:
    one, two = tmp_path / "1.mp4", tmp_path / "2.mp4"
    for path in (one, two):
        path.touch()
    uploads = Uploads()
    uploads.keep("a", one)
    uploads.keep("a", one)
    assert one.exists()
    uploads.keep("a", two)
    assert not one.exists() and two.exists()
    uploads.keep("a", None)
    uploads.keep("a", None)
    assert not list(tmp_path.iterdir())


def test_a_file_stays_while_another_tab_shows_it(tmp_path: Path) -> None:
    path, uploads = tmp_path / "1.mp4", Uploads()
    path.touch()
    uploads.keep("a", path)
    uploads.keep("b", path)
    uploads.keep("a", None)
    assert path.exists()
    uploads.keep("b", None)
    assert not path.exists()

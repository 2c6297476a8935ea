"""The command app: each thing that it cannot start without is one line, before anything is loaded."""

import re
import socket
from importlib.util import find_spec
from pathlib import Path

import pytest

from pipeline.serving.__main__ import main
from pipeline.serving.app import command

Said = pytest.CaptureFixture[str]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if gradio were there."""
    monkeypatch.setattr(command, "find_spec", lambda name: name)


def test_without_gradio_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "gradio" else find_spec(name))
    assert main(["app"]) == 1
    error = capsys.readouterr().err
    assert "gradio" in error and "make app" in error and error.count("\n") == 1


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "models/export: no detector here"),
        (["--model", "nothing"], "nothing: no such folder"),
        (["--port", "70000"], "--port 70000: must lie in 0..65535"),
        (["--largest", "0"], "--largest 0: must be 1 or more"),
        (["--host", "0.0.0.0"], "name the one address"),
        (["--host", "::"], "name the one address"),
    ],
)
def test_a_wrong_command_is_one_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["app", *arguments]) == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


@pytest.mark.usefixtures("installed")
def test_a_port_in_use_is_one_line(both: list[Path], capsys: Said) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["app", "--model", str(both[0]), "--port", str(port)]) == 1
    error = capsys.readouterr().err
    assert f"--port {port}: cannot be listened on" in error and error.count("\n") == 1


def test_the_pages_lock_is_the_projects_with_gradio() -> None:
    """But for what gradio wants older. It fails where one lock was renewed without the other: CONTRIBUTING.md."""
    root = Path(__file__).parents[3]
    pins = [
        set(re.findall(r"^([\w.-]+==\S+)", (root / name).read_text(), flags=re.MULTILINE))
        for name in ("requirements.lock", "requirements.app.lock")
    ]
    assert {pin.partition("==")[0] for pin in pins[0] - pins[1]} == {"pillow", "tomlkit"}
    assert {"gradio", "playwright"} <= {pin.partition("==")[0] for pin in pins[1]}

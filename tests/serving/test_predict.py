"""The command: what it says of good and of bad files, what it writes, and with which exit status."""

import csv
import io
import json
import os
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.serving import predicting
from pipeline.serving.__main__ import main
from pipeline.videos.reading import probe, read_frames
from pipeline.videos.sampling import spread
from tests.aids.clips import faces, ffmpeg, write_clip
from tests.aids.shipping import Run, noise
from tests.serving.conftest import needs_onnx

ROOT = Path(__file__).parents[2]
Said = pytest.CaptureFixture[str]


def predict(run: Run, *arguments: object) -> int:
    return main(["predict", *map(str, arguments), "--model", str(run.detectors)])


def test_a_line_a_file_and_the_nearest_detector(shipped: Run, capsys: Said) -> None:
    assert predict(shipped, shipped.video("v0"), shipped.video("v0", "c40")) == 0
    raw, compressed = capsys.readouterr().out.splitlines()
    assert "a face in 6 of 6 frames; raw detector" in raw and "crf 0" in raw
    assert "c40 detector" in compressed and "crf 40" in compressed


def test_the_detector_and_the_frames_asked_for(shipped: Run, tmp_path: Path) -> None:
    """Whatever is nearest, and however many the detector was exported with."""
    asked = ("--quality", "c40", "--frames", 3, "--json", tmp_path / "o.json")
    assert predict(shipped, shipped.video("v0"), *asked) == 0
    (found,) = json.loads((tmp_path / "o.json").read_text())["results"]
    assert found["detector"]["trained_at"] == "c40" and found["frames"]["looked_at"] == 3
    assert [face["frame"] for face in found["tracks"][0]["faces"]] == spread(found["frames"]["in_file"], 3)


def test_a_closed_stderr_costs_no_verdict(shipped: Run, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert predict(shipped, shipped.video("v0")) == 0
    assert "a face in 6 of 6 frames" in capsys.readouterr().out


def test_json_and_csv_hold_what_the_verdict_rests_on(shipped: Run, tmp_path: Path) -> None:
    files = [shipped.video("v1"), tmp_path / "none.mp4"]
    assert predict(shipped, *files, "--json", tmp_path / "o.json", "--csv", tmp_path / "o.csv") == 3
    good, bad = json.loads((tmp_path / "o.json").read_text())["results"]
    (track,) = good["tracks"]
    assert good["verdict"] in ("real", "fake", "undecided") and good["quality"]["crf"] == 0
    assert [face["frame"] for face in track["faces"]] == [0, 2, 3, 4, 6, 7] and len(track["faces"][0]["box"]) == 3
    assert track["score"] == pytest.approx(np.mean([face["score"] for face in track["faces"]]), abs=1e-5)
    assert bad == {"file": str(files[1]), "error": "the file is missing"}
    with (tmp_path / "o.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["verdict"] for row in rows] == [good["verdict"], ""] and rows[1]["error"] == bad["error"]


@needs_onnx
def test_onnxruntime_computes_where_it_can_and_grad_cam_is_not_wanted(shipped: Run, tmp_path: Path) -> None:
    """c40 has an ONNX file, raw has none: what starts in a second must not wait for torch."""

    def runtime(*arguments: object) -> str:
        assert predict(shipped, *arguments, "--json", tmp_path / "o.json") == 0
        (found,) = json.loads((tmp_path / "o.json").read_text())["results"]
        return str(found["detector"]["runtime"])

    compressed = shipped.video("v0", "c40")
    assert runtime(compressed) == runtime(compressed, "--annotate", tmp_path / "a.mp4") == "onnxruntime"
    assert runtime(shipped.video("v0")) == runtime(compressed, "--torch") == "torch"
    assert runtime(compressed, "--page", tmp_path / "p.html") == "torch"


@needs_onnx
def test_files_side_by_side_get_the_verdicts_of_one_after_the_other(shipped: Run, tmp_path: Path, capsys: Said) -> None:
    """In processes of their own, in the files' order, and what cannot be judged keeps its line there."""
    files = [shipped.video("v1", "c40"), tmp_path / "none.mp4", shipped.video("v0", "c40")]
    for jobs in (1, 2):
        assert predict(shipped, *files, "--jobs", jobs, "--json", tmp_path / f"{jobs}.json") == 3
    assert (tmp_path / "1.json").read_text() == (tmp_path / "2.json").read_text()
    said = capsys.readouterr().out.splitlines()
    assert said[:3] == said[3:] and "none.mp4: cannot be judged: the file is missing" in said[1]


def test_a_fault_of_the_program_costs_one_file(
    shipped: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    judge_file = predicting.judge_file

    def faulty(file: Path, *arguments: Any) -> predicting.Outcome:
        return 1 / 0 if file == shipped.video("v0") else judge_file(file, *arguments)  # type: ignore[return-value]

    monkeypatch.setattr(predicting, "judge_file", faulty)
    assert predict(shipped, shipped.video("v0"), shipped.video("v1"), "--csv", tmp_path / "o.csv") == 3
    assert "cannot be judged: ZeroDivisionError" in (said := capsys.readouterr()).out and "Traceback" in said.err
    assert len((tmp_path / "o.csv").read_text().splitlines()) == 3


def test_an_interrupt_leaves_what_was_judged(shipped: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge_file = predicting.judge_file

    def interrupted(file: Path, *arguments: Any) -> predicting.Outcome:
        if file == shipped.video("v1"):
            raise KeyboardInterrupt
        return judge_file(file, *arguments)

    monkeypatch.setattr(predicting, "judge_file", interrupted)
    files = [shipped.video("v0"), shipped.video("v1")]
    assert predict(shipped, *files, "--json", tmp_path / "o.json", "--csv", tmp_path / "o.csv") == 130
    assert [one["file"] for one in json.loads((tmp_path / "o.json").read_text())["results"]] == [str(files[0])]
    assert len((tmp_path / "o.csv").read_text().splitlines()) == 2


def test_results_on_standard_output_are_nothing_but_results(shipped: Run, capsys: Said) -> None:
    assert predict(shipped, shipped.video("v0"), "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["results"]


def test_a_table_goes_into_a_pipe_or_a_device_and_replaces_neither(shipped: Run, tmp_path: Path, capsys: Said) -> None:
    """As a shell's >(command) is given, and /dev/null, over which a rename would succeed to root."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert predict(shipped, shipped.video("v0"), "--csv", pipe) == 0
    assert os.read(reader, 10_000).startswith(b"file,verdict,")
    assert pipe.is_fifo() and list(tmp_path.iterdir()) == [pipe]
    os.close(reader)
    capsys.readouterr()
    assert predict(shipped, shipped.video("v0"), "--json", "/dev/stdout") == 0
    assert json.loads(capsys.readouterr().out)["results"]


def test_bad_files_have_each_their_line_and_stop_nothing(shipped: Run, tmp_path: Path, capsys: Said) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("not a video\n" * 99)
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", folder / "audio.mp4")
    write_clip(folder / "noface.mp4", noise(4), 25, (96, 96))
    ffmpeg("-f", "lavfi", "-i", "color=s=2x2:d=0.2", "-vf", "scale=1:1", "-c:v", "ffv1", folder / "one.mkv")
    good = shipped.video("v0").read_bytes()
    (folder / "cut.mp4").write_bytes(good[: len(good) * 2 // 3])
    photo = faces(1)[0][..., ::-1]
    cv2.imwrite(str(folder / "photo.png"), photo)
    jpeg = bytes(cv2.imencode(".jpg", photo)[1])
    (folder / "photo.jpg").write_bytes(jpeg)
    (folder / "torn.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    shutil.copy(shipped.video("v1"), folder / "zz.mp4")
    (folder / ".hidden").write_text("not looked at")
    status = predict(shipped, folder, "--json", tmp_path / "o.json", "--page", tmp_path / "pages")
    said = dict(line.removeprefix(f"{folder}/").split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert status == 3 and len(said) == 10
    for name in ("empty.mp4", "text.mp4", "audio.mp4", "cut.mp4", "torn.jpg"):
        assert said[name].startswith("cannot be judged: "), said[name]
    assert "0 bytes" in said["empty.mp4"] and "no video stream" in said["audio.mp4"]
    assert said["noface.mp4"].startswith("undecided, no face in any of 4 frames")
    assert said["one.mkv"].startswith("undecided, no face")
    assert "a face; raw detector" in said["photo.png"] and "a face; " in said["photo.jpg"]
    assert "a face in 6 of 6 frames" in said["zz.mp4"]
    errors = [
        result["file"] for result in json.loads((tmp_path / "o.json").read_text())["results"] if "error" in result
    ]
    assert len(errors) == 5
    assert sorted(path.suffix for path in (tmp_path / "pages").iterdir()) == [".html"] * 5


def test_a_face_that_leaves_and_a_crowd(shipped: Run, tmp_path: Path, capsys: Said) -> None:
    shown = [image for image in faces(4)] + [np.full((132, 168, 3), 90, np.uint8)] * 4
    write_clip(tmp_path / "leaves.mp4", shown, 25, (168, 132))
    crowd = np.concatenate([np.concatenate([faces(1, seed)[0] for seed in range(6)], 1)] * 5)
    cv2.imwrite(str(tmp_path / "crowd.png"), crowd[..., ::-1])
    assert predict(shipped, tmp_path, "--json", tmp_path / "o.json", "--page", tmp_path / "pages") == 0
    crowded, left = capsys.readouterr().out.splitlines()
    many, one = (len(found["tracks"]) for found in json.loads((tmp_path / "o.json").read_text())["results"])
    assert 20 < many <= 30 and one == 1  # dlib's detector does not take every drawing for a face
    assert f"; {many} faces; " in crowded and "a face in 3 of 6 frames" in left
    assert f"And {many - 6} more." in (tmp_path / "pages/crowd.html").read_text()


def test_names_that_break_lines_and_texts(shipped: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a console that has few letters and is strict about it."""
    monkeypatch.chdir(tmp_path)
    names = ["-x.mp4", "two\nlines.mp4", os.fsdecode(b"Andr\xe9.mp4"), "n" * 240 + ".mp4"]
    for name in names:
        shutil.copy(shipped.video("v0"), tmp_path / name)
    console = io.TextIOWrapper(io.BytesIO(), "ascii", "strict", write_through=True)
    monkeypatch.setattr(sys, "stdout", console)
    wanted = ["--csv", "o.csv", "--json", "o.json", "--page", "pages", "--annotate", "drawn"]
    assert main(["predict", "--model", str(shipped.detectors), *wanted, "--", *names]) == 0
    said = console.buffer.getvalue().decode().splitlines()  # type: ignore[attr-defined]
    assert [line.split(": ")[0] for line in said] == ["-x.mp4", "two\\nlines.mp4", "Andr\\xe9.mp4", names[3]]
    assert json.loads(Path("o.json").read_text())["results"][1]["file"] == "two\\nlines.mp4"
    with Path("o.csv").open(encoding="utf-8") as file:
        assert [row["file"] for row in csv.DictReader(file)][1:3] == ["two\\nlines.mp4", "André.mp4"]
    assert len(list(Path("pages").iterdir())) == len(list(Path("drawn").iterdir())) == 4


def test_links_loops_and_what_may_not_be_read(
    shipped: Run, tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, elsewhere = tmp_path / "in", tmp_path / "elsewhere"
    for folder in (inside / "sub", elsewhere):
        folder.mkdir(parents=True)
    shutil.copy(shipped.video("v0"), elsewhere / "a.mp4")
    shutil.copy(shipped.video("v0"), inside / "locked.mp4")
    (inside / "more").symlink_to(elsewhere)
    (inside / "sub/loop").symlink_to(inside)
    (inside / "gone.mp4").symlink_to("nowhere.mp4")
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "locked.mp4" and allowed(path, mode))
    assert predict(shipped, inside) == 3
    said = dict(line.removeprefix(f"{inside}/").split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert "a face in 6 of 6 frames" in said["more/a.mp4"]
    assert said["locked.mp4"] == "cannot be judged: the file may not be read: permission denied"
    assert said["gone.mp4"] == "cannot be judged: a link to nowhere.mp4, which is not there"
    assert "the same folder as ., which is looked into" in said["sub/loop"] and len(said) == 4


def test_a_page_stands_alone(shipped: Run, tmp_path: Path) -> None:
    assert predict(shipped, shipped.video("v0"), "--page", tmp_path / "p.html") == 0
    page = (tmp_path / "p.html").read_text()
    assert page.count("data:image/png;base64,") == 12  # six faces, and where the networks look
    assert "<script" not in page and "http" not in page and "evidence, not proof" in page
    assert page.count("<circle") == 6 and "6 looked at, a face in 6" in page


def test_no_name_is_a_tag_on_a_verdicts_page(shipped: Run, tmp_path: Path) -> None:
    named = tmp_path / "<img src=x onerror=alert(1)>' onload=\"y.mp4"
    shutil.copy(shipped.video("v0"), named)
    assert predict(shipped, named, "--page", tmp_path / "p.html") == 0
    page = (tmp_path / "p.html").read_text()
    assert "&lt;img src=x onerror" in page and "<img src=x" not in page and '" onload' not in page


def test_an_annotated_video_has_every_frame_and_a_box(shipped: Run, tmp_path: Path) -> None:
    source, out = shipped.video("v0"), tmp_path / "a.mp4"
    assert predict(shipped, source, "--annotate", out, "--heat") == 0
    before, after = probe(source), probe(out)
    for what in ("frames", "width", "height", "fps"):
        assert getattr(after, what) == getattr(before, what)
    for (_, plain), (_, drawn) in zip(read_frames(source), read_frames(out), strict=True):
        changed = np.abs(plain.astype(int) - drawn).max(2) > 25
        assert changed.any(0).sum() > 60 and changed.any(1).sum() > 60  # from edge to edge of the square


def test_a_video_of_odd_size_is_annotated_whole(shipped: Run, tmp_path: Path) -> None:
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "color=d=0.2",
        "-vf",
        "scale=41:33,setsar=1,format=bgr0",
        "-c:v",
        "ffv1",
        tmp_path / "odd.mkv",
    )
    ffmpeg("-f", "lavfi", "-i", "color=s=2x2:d=0.2", "-vf", "scale=1:1", "-c:v", "ffv1", tmp_path / "one.mkv")
    assert predict(shipped, tmp_path / "odd.mkv", tmp_path / "one.mkv", "--annotate", tmp_path / "drawn") == 0
    odd, one = (probe(tmp_path / f"drawn/{name}.mp4") for name in ("odd", "one"))
    assert (odd.width, odd.height, odd.frames, one.width, one.height) == (42, 34, 5, 2, 2)


def test_a_photo_is_annotated_as_one(shipped: Run, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "p.png"), faces(1)[0][..., ::-1])
    assert predict(shipped, tmp_path / "p.png", "--annotate", tmp_path / "a.png") == 0
    assert cv2.imread(str(tmp_path / "a.png")).shape == (132, 168, 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing/*.mp4"], "matches no file"),
        (["{v}", "https://example.org/a.mp4"], "https://example.org/a.mp4: an address; download the file"),
        (["{v}", "--jobs", "0"], "--jobs 0: must be 1 or more"),
        (["{v}", "--onnx", "--torch"], "--onnx and --torch: choose one"),
        (["{v}", "--quality", "c23"], "there is no such detector; there are raw, c40"),
        (["{v}", "--frames", "0"], "--frames 0: must be 1 or more"),
        (["{v}", "--heat"], "--heat goes with --annotate"),
        (["{v}", "{w}", "--page", "one.html"], "there are 2 files; name a folder"),
        (["{v}", "--page", "one.mp4"], "must end in .html"),
        (["{v}", "--annotate", "{v}"], "is one of the files to judge"),
        (["{v}", "--json", "{v}"], "is one of the files to judge"),
        (["{v}", "{w}", "--annotate", "{raw}"], "is one of the files to judge"),
        (["{v}", "--json", "o", "--csv", "./o"], "--json and --csv: cannot both be written to"),
        (["{v}", "--page", "{v}/p.html"], "is no folder"),
        (["{v}", "--csv", "{raw}"], "is a folder; name a file"),
        (["{v}", "--json", "/proc/none/o.json"], "may not be written to"),
        (["{v}", "--model", "{v}"], "a file; give --model the folder"),
    ],
)
def test_a_wrong_command_is_one_line_before_any_work(
    arguments: list[str], said: str, shipped: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    monkeypatch.chdir(tmp_path)
    allowed = os.access  # root may write anywhere
    monkeypatch.setattr(os, "access", lambda path, mode: Path("/proc") != Path(path) and allowed(path, mode))
    places = {"v": shipped.video("v0"), "w": shipped.video("v1"), "raw": shipped.video("v0").parent}
    assert predict(shipped, *(argument.format(**places) for argument in arguments)) == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not list(tmp_path.iterdir())


def test_files_of_one_name_do_not_overwrite_each_other(shipped: Run, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    shutil.copy(shipped.video("v0"), tmp_path / "b/v0.mp4")
    assert predict(shipped, shipped.video("v0"), tmp_path / "b/v0.mp4", "--page", tmp_path / "pages") == 0
    assert len(list((tmp_path / "pages").glob("*.html"))) == 2


def test_the_console_command_is_this_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, name = project["scripts"]["add-deepfake"].partition(":")
    assert module == main.__module__ and name == main.__name__

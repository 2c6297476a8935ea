"""The real DVC on a small pipeline, with a list of devices that stands for the machine's."""

import getpass
import json
import os
import pwd
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import psutil
import pytest
from dvc.repo import Repo

from pipeline.jobs import __main__ as jobs
from pipeline.jobs.graph import load_pipeline
from pipeline.jobs.reproduce import _warm, reproduce
from pipeline.jobs.running import cause, repro
from pipeline.jobs.scheduling import Machine
from pipeline.work import warm
from pipeline.work.alone import STARTED_BY_JOBS
from pipeline.work.errors import UserError
from pipeline.work.parallel import cores
from tests.aids.processes import wait_until
from tests.aids.started import ROOT

# Each training notes its GPU, and refuses to run beside another one on it.
TRAIN = """
import os, sys, time
from pathlib import Path
name, gpu = sys.argv[1], os.environ["CUDA_VISIBLE_DEVICES"]
assert "ADD_WARM" not in os.environ  # CUDA does not survive a fork
Path("runs.txt").open("a").write(f"{name} {gpu}\\n")
held = Path(gpu)
held.touch(exist_ok=False)
time.sleep(0.2)
held.unlink()
if Path("broken").exists() and name == "b":
    sys.exit(f"train: {name}: loss is not finite")
Path(f"{name}.model").write_text(name)
"""
STAGES = """
stages:
  train:
    matrix: {name: [a, b, c]}
    meta: {uses: device}
    cmd: python train.py ${item.name}
    deps: [train.py]
    outs: ["${item.name}.model"]
  evaluate:
    matrix: {name: [a, b, c]}
    cmd: cp ${item.name}.model ${item.name}.score
    deps: ["${item.name}.model"]
    outs: ["${item.name}.score"]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "dvc.yaml").write_text(STAGES)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], check=True)
    return tmp_path


def test_a_failure_stops_its_own_and_the_next_run_goes_on(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    machine = Machine(2, ("GPU-a", "GPU-b"))
    (project / "broken").touch()
    assert reproduce(machine) == 1
    said = capfd.readouterr().err
    assert "jobs: 1 failed, and 1 that need them did not run" in said
    assert said.strip().endswith("train@b: train: b: loss is not finite")
    assert {path.name for path in project.glob("*.score")} == {"a.score", "c.score"}

    runs = [line.split() for line in (project / "runs.txt").read_text().splitlines()]
    assert sorted(name for name, _ in runs) == ["a", "b", "c"] and {gpu for _, gpu in runs} == {"GPU-a", "GPU-b"}
    (project / "broken").unlink()
    assert reproduce(machine) == 0
    assert [line.split()[0] for line in (project / "runs.txt").read_text().splitlines()[3:]] == ["b"]
    assert (project / "b.score").read_text() == "b"
    status = subprocess.run([sys.executable, "-m", "dvc", "status", "--json"], capture_output=True, check=True)
    assert status.stdout.strip() == b"{}"


STAGE = """
import os, time
from pathlib import Path
from pipeline.work.alone import end_with_parent
end_with_parent()
Path("number.part").write_text(str(os.getpid()))
Path("number.part").rename("number")
time.sleep(600)
"""
JOBS = "from pipeline.jobs.running import repro; repro('long', {}, None)"


def test_stages_end_with_a_killed_run(project: Path) -> None:
    """Their dvc would go on with them, and the next run wait for it, or start them a second time."""
    (project / "long.py").write_text(STAGE)
    (project / "dvc.yaml").write_text("stages: {long: {cmd: python long.py, outs: [out]}}")
    jobs = subprocess.Popen([sys.executable, "-c", JOBS], env=os.environ | {"PYTHONPATH": str(ROOT)})
    wait_until(lambda: (project / "number").exists())
    stage = psutil.Process(int((project / "number").read_text()))
    above = [one for one in stage.parents() if "forkserver" in " ".join(one.cmdline())]
    jobs.kill()
    jobs.wait()
    _, left = psutil.wait_procs([stage, *above], timeout=120)
    for one in left:
        one.kill()
    assert above and not left


NOTE = """
import json, os
told = {**os.environ, "cores": sorted(os.sched_getaffinity(0))}
open("told.json", "w").write(json.dumps(told))
print("noted")
"""
SERVE = "import os, sys; open('served', 'w').write(os.environ['OMP_NUM_THREADS']); sys.stdin.read()"


def test_without_a_gpu_stages_with_a_network_are_told_of_the_warm_process(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which has loaded its libraries for as many threads as they shall have, and ends with the run."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(warm, "server", partial(warm.server, command=[sys.executable, "-c", SERVE]))
    (project / "note.py").write_text(NOTE)
    (project / "dvc.yaml").write_text("stages: {note: {cmd: python note.py, meta: {uses: device}, outs: [told.json]}}")
    assert reproduce(Machine(1)) == 0
    told = json.loads((project / "told.json").read_text())
    assert Path(told[warm.ADDRESS]).name == warm.SOCKET and not Path(told[warm.ADDRESS]).exists()
    assert (project / "served").read_text() == told["OMP_NUM_THREADS"] == str(cores())
    with _warm(Machine(1), wanted=False) as nothing:
        assert nothing == {}


def test_one_stage_runs_alone_on_its_cores_and_dvcs_advice_is_left_out(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first = min(os.sched_getaffinity(0))
    (project / "note.py").write_text(NOTE)
    (project / "dvc.yaml").write_text(
        "stages: {a: {cmd: touch a, outs: [a]}, note: {cmd: python note.py, deps: [a], outs: [told.json]}}"
    )
    assert "failed to reproduce 'note'" in str(repro("note", {}, None))
    assert "touch" not in capfd.readouterr().err and not (project / "a").exists()
    (project / "a").write_text("a")
    assert repro("note", {"WORD": "said"}, [first]) is None
    told = json.loads((project / "told.json").read_text())
    assert (told["WORD"], told["cores"], int(told[STARTED_BY_JOBS])) == ("said", [first], os.getpid())
    assert capfd.readouterr().err == "noted\n"


def test_the_cause_is_what_the_stage_said_last() -> None:
    end = "ERROR: failed to reproduce 'teacher@0': failed to run: python -m stages.classifier, exited with "
    assert cause(["teacher: 40/65 steps", "classifier: data/shards: no crops", end + "1"], 255) == (
        "classifier: data/shards: no crops"
    )
    assert cause(["teacher: 40/65 steps", end + "-9"], 255) == "python -m stages.classifier, exited with -9"
    missing = "ERROR: failed to reproduce 'b': missing data 'source': a.model"
    assert cause([missing], 255) == missing.removeprefix("ERROR: ")
    assert cause([], -9) == "dvc ended with status -9"


def test_a_second_run_beside_the_first_is_told_so(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dvc.lock.DEFAULT_TIMEOUT", 0)
    with Repo().lock, pytest.raises(UserError, match="another dvc, or make repro, works in this folder"):
        reproduce(Machine(1))


def test_what_dvc_refuses_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT")
    with pytest.raises(UserError, match="dvc: you are not inside of a DVC repository"):
        load_pipeline()


def test_a_long_path_for_temporary_files_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Schedulers make such; a socket's path has 107 bytes at most."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("long" * 20)))
    with pytest.raises(UserError, match=r"^TMPDIR .*too long for the sockets"):
        reproduce(Machine(1))


def test_a_user_without_a_name_a_home_or_a_shell_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """As containers run with a number for a user (`docker run -u 12345`), and services as one who may not log in."""

    def unknown(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME"):
        monkeypatch.setenv(name, "")  # so that it is as it was after the test
        monkeypatch.delenv(name)
    monkeypatch.setenv("SHELL", "/usr/sbin/nologin")
    monkeypatch.setattr(sys, "argv", ["jobs"])
    monkeypatch.setattr(jobs, "_main", lambda _: f"{getpass.getuser()} at {Path.home()} by {os.environ.get('SHELL')}")
    with pytest.raises(SystemExit, match=rf"^uid{os.getuid()} at / by None$"):
        jobs.main()


def test_what_the_command_runs_and_says(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("pipeline.jobs.reproduce.reproduce", lambda machine: 3 + machine.cores)
    monkeypatch.setattr("pipeline.jobs.plan.plan", lambda params, machine: f"a plan for {machine.cores}")

    def run(*arguments: str) -> object:
        monkeypatch.setattr(sys, "argv", ["jobs", *arguments])
        with pytest.raises(SystemExit) as end:
            jobs.main()
        return end.value.code

    assert run("--jobs", "3", "--plan") == 0 and capsys.readouterr().out == "a plan for 3\n"
    assert run("--jobs", "4") == 7
    assert run("--jobs", "0") == 2

    def interrupted(_: Machine) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.jobs.reproduce.reproduce", interrupted)
    assert run() == "jobs: interrupted; what is done is kept: run again to go on"


def test_a_folder_without_git_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an archive of the project is, which has DVC's folder and not git's."""
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"is not a git repository, .*: clone it, or `git init`; or `.*no_scm true`"):
        load_pipeline()

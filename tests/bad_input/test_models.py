"""Models that were damaged, made by another version, or put there by somebody else: refused, and nothing run."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline.detectors.backbones.registry import build
from pipeline.detectors.card import Card, save
from tests.aids.refusing import refusal, write
from tests.aids.report_fixture import write_params

CELL = "mobilenet_v2-faceswap-c40-s0"
FOLD = f"models/baseline/{CELL}/fold0"
WEIGHTS, CARD = f"{FOLD}/model.safetensors", f"{FOLD}/model.json"


class Runs:
    """What a hostile pickle would be: it makes a file as it is read."""

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("it-ran"),)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("model")
    write_params(root, **{"folds": [0], "tracking.enabled": False})
    (root / FOLD).mkdir(parents=True)
    buckets = {"train": ("b0",), "val": (), "test": ("b1",)}
    card = Card(method="mobilenet_v2", backbone="mobilenet_v2", manipulation="faceswap", quality="c40", seed=0, fold=0,
                buckets=buckets, image_size=112, mean=0.5, std=0.5)  # fmt: skip
    save(build("mobilenet_v2"), card, root / FOLD)
    return root


def card(**changes: object) -> Callable[[Path], None]:
    """Spoil by other values in the card; None leaves one out."""

    def spoil(root: Path) -> None:
        about = json.loads((root / CARD).read_text()) | changes
        (root / CARD).write_text(json.dumps({key: value for key, value in about.items() if value is not None}))

    return spoil


def weights(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda root: (root / WEIGHTS).write_bytes(change((root / WEIGHTS).read_bytes()))


def pickled(root: Path) -> None:
    torch.save({"x": Runs()}, root / WEIGHTS)


def folder(name: str) -> Callable[[Path], None]:
    return lambda root: ((root / name).unlink(), (root / name).mkdir())


TABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (lambda root: shutil.rmtree(root / FOLD), "model.json is missing; train the model again"),
    "no card": (lambda root: (root / CARD).unlink(), "model.json is missing"),
    "no weights": (lambda root: (root / WEIGHTS).unlink(), "model.safetensors is missing"),
    "a folder as card": (folder(CARD), "not a model of this version"),
    "a folder as weights": (folder(WEIGHTS), "not a model of this version"),
    "an empty card": (write(CARD, ""), "not a model of this version"),
    "a card cut short": (write(CARD, '{"method": "add", '), "not a model of this version"),
    "a binary card": (write(CARD, b"\xff\xfe\x00\x81"), "not a model of this version"),
    "a list as card": (write(CARD, "[1]"), "not a model of this version"),
    "brackets in brackets": (write(CARD, "[" * 100_000), "not a model of this version"),
    "a card of a later version": (card(heads=3), "heads"),
    "a card of an earlier version": (card(image_size=None), "image_size"),
    "a word for the size": (card(image_size="large"), "image_size"),
    "a backbone that nobody knows": (card(backbone="vgg99"), "vgg99: no such backbone"),
    "another backbone": (card(backbone="resnet18"), "not a model of this version"),
    "a backbone with a path in its name": (card(backbone="../../x"), "no such backbone"),
    "empty weights": (write(WEIGHTS, b""), "not a model of this version"),
    "weights cut short": (weights(lambda data: data[: len(data) // 2]), "not a model of this version"),
    "weights cut in their header": (weights(lambda data: data[:100]), "not a model of this version"),
    "weights of zeros": (weights(lambda data: bytes(len(data))), "not a model of this version"),
    "a header of a size beyond all": (weights(lambda data: b"\xff" * 8 + data[8:]), "not a model of this version"),
    "a web page as weights": (write(WEIGHTS, "<html>404</html>" * 99), "not a model of this version"),
    "a pickle of torch as weights": (pickled, "not a model of this version"),
    "a pickle as weights": (write(WEIGHTS, pickle.dumps(Runs())), "not a model of this version"),
    "a pickle as card": (write(CARD, pickle.dumps(Runs())), "not a model of this version"),
}


def spoilt(model: Path, folder: Path, what: str) -> tuple[Path, str]:
    """A copy of the model that was spoilt so, and what must be said of it."""
    root = Path(shutil.copytree(model, folder / "run"))
    spoil, says = TABLE[what]
    spoil(root)
    return root, says


@pytest.mark.parametrize("what", TABLE)
def test_a_damaged_model_is_refused_in_one_line_and_runs_nothing(what: str, model: Path, tmp_path: Path) -> None:
    root, says = spoilt(model, tmp_path, what)
    line = refusal(root, "evaluate", "--model", f"models/baseline/{CELL}", "--shards", "data/shards",
                   "--out", f"reports/cells/{CELL}")  # fmt: skip
    assert says in line, line
    assert not list(tmp_path.rglob("it-ran"))


@pytest.mark.parametrize("what", ["no card", "weights cut short", "another backbone", "a pickle of torch as weights"])
def test_a_damaged_teacher_is_refused_in_one_line(what: str, model: Path, tmp_path: Path) -> None:
    root, says = spoilt(model, tmp_path, what)
    cell = ("--backbone", "mobilenet_v2", "--manipulation", "faceswap", "--seed", 0, "--fold", 0)
    line = refusal(root, "student", "--method", "add", *cell, "--compression", "c40", "--shards", "data/shards",
                   "--teacher", FOLD, "--out", "models/add/fold0")  # fmt: skip
    assert says in line, line

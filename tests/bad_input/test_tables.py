"""What people write beside their videos, and the lists that data sets bring: read, or refused in one line."""

import json
from pathlib import Path

import pytest
import yaml

from pipeline.videos.manifests import read_manifest, read_rejected
from tests.aids.clips import pictures, raw_set, write_clip
from tests.aids.refusing import Bad, refusal, write
from tests.bad_input.test_params import GOOD
from tests.sources.test_sources import Make, make  # noqa: F401

PEOPLE = "file,person\na.mp4,ann\nb.mp4,ben\n"


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    for number, name in enumerate("ab"):
        write_clip(folder / f"{name}.mp4", pictures(8, number), 25, (96, 80))
    return folder


def params(folder: Path, source: str, **section: object) -> None:
    settings = yaml.safe_load(GOOD)
    settings |= {"source": source, "folds": [0], "workers": 1, "split": {"buckets": 2, "validation": 0, "seed": 0}}
    settings["folder" if source == "folder" else source] |= section
    (folder / "params.yaml").write_text(yaml.safe_dump(settings))


def bad_people(what: str, content: str | bytes, says: str) -> Bad:
    return Bad(what, write("people.csv", content), says, {"people": "people.csv"})


def bad_fakes(what: str, content: str | bytes, says: str) -> Bad:
    return Bad(what, write("fakes.csv", content), says, {"fakes": "fakes.csv"})


REFUSED = [
    Bad("no table", write("other.csv", PEOPLE), "people.csv cannot be read as CSV", {"people": "people.csv"}),
    Bad("a folder as table", lambda f: (f / "people.csv").mkdir(), "cannot be read as CSV", {"people": "people.csv"}),
    bad_people("empty", "", "lacks the column file; it needs file,person"),
    bad_people("blank lines", "\n\n\n", "lacks the column file; it needs file,person"),
    bad_people("no header", "a.mp4,ann\nb.mp4,ben\n", "lacks the column file; it needs file,person"),
    bad_people("a column missing", "file\na.mp4\n", "lacks the column person; it needs file,person"),
    bad_people("another name of a column", "file,name\na.mp4,ann\n", "lacks the column person"),
    bad_people("a quote left open", 'file,"person\na.mp4,ann\nb.mp4,ben\n', "lacks the column person"),
    bad_people("a quote left open in a row", 'file,person\n"a.mp4,ann\nb.mp4,ben\n', "is not a real video in"),
    bad_people("a file twice", PEOPLE + "a.mp4,cleo\n", "lists a.mp4 twice"),
    bad_people("a file twice, written in two ways", PEOPLE + "./a.mp4,cleo\n", "lists ./a.mp4 twice"),
    bad_people("a file that is not there", PEOPLE + "c.mp4,cleo\n", "c.mp4 is not a real video in"),
    bad_people("a path out of the folder", PEOPLE + "../x.mp4,cleo\n", "../x.mp4 is not a real video in"),
    bad_people("binary", bytes(range(256)) * 4, "lacks the column file"),
    bad_people("a picture", b"\x89PNG\r\n\x1a\n" + bytes(500), "lacks the column file"),
    bad_people("UTF-16, cut", PEOPLE.encode("utf-16")[:-1], "cannot be read as CSV"),
    bad_people("UTF-16 without its mark", PEOPLE.encode("utf-16-le"), "lacks the column file"),
    bad_people("a cell without end", f"file,person\na.mp4,{'x' * 200_000}\n", "read as CSV: field larger than"),
    bad_people("nobody named", "file,person\na.mp4,\nb.mp4,\n", "no usable video in"),
    bad_people("one person", "file,person\na.mp4,ann\nb.mp4,ann\n", "2 buckets need as many people, the source has 1"),
    bad_fakes("fakes: a column missing", "file,target\nf.mp4,a.mp4\n", "lacks the column manipulation"),
    bad_fakes("fakes: a path as kind", "file,manipulation,target\nf.mp4,../x,a.mp4\n", "manipulation '../x' must"),
    bad_fakes("fakes: no manipulation", "file,manipulation,target\nf.mp4,,a.mp4\n", "manipulation '' must be a name"),
    bad_fakes("fakes: originals", "file,manipulation,target\nf.mp4,original,a.mp4\n", "manipulation 'original' must"),
    bad_fakes("fakes: a file twice", "file,manipulation,target\n" + "f.mp4,mine,a.mp4\n" * 2, "lists f.mp4 twice"),
    bad_fakes(
        "fakes: a name that no file can have", f"file,manipulation,target\n{'f' * 300}.mp4,mine,a.mp4\n",
        "fakes.csv: File name too long: correct its row of ffffff",
    ),
    Bad("the folder is not there", lambda folder: None, "nowhere is not a folder", {"path": "nowhere"}),
    Bad("the folder is a file", write("v.mp4", b"x"), "v.mp4 is not a folder", {"path": "v.mp4"}),
    Bad("the folder is empty", lambda f: (f / "void").mkdir(), "no usable video in", {"path": "void"}),
    Bad("no folder named", lambda folder: None, "folder.path is not set", {"path": None}),
]  # fmt: skip


@pytest.mark.parametrize("bad", REFUSED, ids=str)
def test_tables_of_ones_own_are_refused_in_one_line(bad: Bad, videos: Path, tmp_path: Path) -> None:
    params(tmp_path, "folder", **{"path": str(videos), **bad.changes})
    bad.spoil(tmp_path)
    line = refusal(tmp_path, "download", "--set", "original", "--out", "data/raw/original")
    assert bad.says in line, line


READ = {
    "as it should be": PEOPLE,
    "a mark of its order of bytes": b"\xef\xbb\xbf" + PEOPLE.encode(),
    "Windows' ends of lines": PEOPLE.replace("\n", "\r\n"),
    "old Macintosh's ends of lines": PEOPLE.replace("\n", "\r"),
    "UTF-16, as spreadsheets write it": PEOPLE.encode("utf-16"),
    "semicolons": PEOPLE.replace(",", ";"),
    "tabs": PEOPLE.replace(",", "\t"),
    "quotes around all": 'file,person\n"a.mp4","ann"\n"b.mp4","ben"\n',
    "blanks around all": "file , person\na.mp4 , ann \n b.mp4,ben\n",
    "columns of its own, in another order": "note,person,file\nx,ann,a.mp4\ny,ben,b.mp4\n",
    "too many cells, and too few": PEOPLE.replace("ann", "ann,,,"),
    "Windows' paths": PEOPLE.replace("a.mp4", ".\\a.mp4"),
}


@pytest.mark.parametrize("content", READ.values(), ids=READ)
def test_tables_are_read_as_programs_write_them(content: str | bytes, make: Make, videos: Path, tmp_path: Path) -> None:  # noqa: F811
    from pipeline.sources.registry import SOURCES

    write("people.csv", content)(tmp_path)
    clips, _ = SOURCES["folder"](make(path=str(videos), people=str(tmp_path / "people.csv"))).clips("original")
    assert [(clip.video, clip.person) for clip in clips] == [("a", "ann"), ("b", "ben")]


ROWS = {
    "f0.mp4,mine,a.mp4": "the file is missing",
    "f1.mp4,mine,zz.mp4": "zz.mp4",
    "text.txt,mine,a.mp4": "not readable as a video",
    "f2.mp4,mine,": "target",
    ",mine,a.mp4": "the file is missing",
}


def test_a_fake_that_cannot_be_used_is_a_row_with_its_cause(videos: Path, tmp_path: Path) -> None:
    from pipeline.params.schema import load
    from pipeline.sources.registry import SOURCES

    write("fakes.csv", "\n".join(["file,manipulation,target", *ROWS]))(tmp_path)
    (tmp_path / "text.txt").write_text("a text\n" * 50)
    for name in ("f1.mp4", "f2.mp4"):
        (tmp_path / name).write_bytes((videos / "a.mp4").read_bytes())
    params(tmp_path, "folder", path=str(videos), fakes=str(tmp_path / "fakes.csv"))
    clips, refused = SOURCES["folder"](load(tmp_path / "params.yaml")).clips("mine")
    assert not clips
    for (row, says), one in zip(ROWS.items(), refused, strict=True):
        assert says in one.cause and "\n" not in one.cause, (row, one)


def splits(train: str | bytes, says: str, what: str) -> Bad:
    def spoil(folder: Path) -> None:
        for name in ("val", "test"):
            write(f"splits/{name}.json", "[]")(folder)
        write("splits/train.json", train)(folder)

    return Bad(what, spoil, says)


LISTS = [
    Bad("no lists", lambda folder: None, "train.json not found; the data set's repository has"),
    splits("", "is no JSON list of pairs", "an empty list"),
    splits('[["071", "054"]', "is no JSON list of pairs", "a list cut short"),
    splits('{"071": "054"}', "is no JSON list of pairs", "an object"),
    splits('["071", "054"]', "is no JSON list of pairs", "no pairs"),
    splits('[["071", "054", "001"]]', "is no JSON list of pairs", "three in a pair"),
    splits("[71, 54]", "is no JSON list of pairs", "numbers alone"),
    splits("071,054\n", "is no JSON list of pairs", "a CSV"),
    splits("[" * 100_000, "is no JSON list of pairs", "lists in lists"),
    splits(b"\xff\xfe\x00", "is no JSON list of pairs", "binary"),
    splits('[["071", "071"]]', "'071' is listed twice", "a video as its own mate"),
    splits('[["071", "054"], ["054", "001"]]', "'054' is listed twice", "a video in two pairs"),
    splits('[["../x", "054"]]', "'../x' is listed twice, or is no name of a video", "a path out of the tree"),
    splits('[["071", "054"]]', "files are missing from", "videos that are not there"),
]  # fmt: skip


@pytest.mark.parametrize("bad", LISTS, ids=str)
def test_the_official_splits_are_refused_in_one_line(bad: Bad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADD_FACEFORENSICS_SERVER", raising=False)
    tree = tmp_path / "tree"
    tree.mkdir()
    bad.spoil(tree)
    (tmp_path / "here").mkdir()
    params(tmp_path / "here", "faceforensics", path=str(tree))
    line = refusal(tmp_path / "here", "download", "--set", "original", "--out", "data/raw/original")
    assert bad.says in line, line


CELEB = {
    "empty": ("", "is not the list of testing videos"),
    "binary": (b"\xff\xfe\xfd" * 9, "cannot be read"),
    "a path out of the tree": ("1 ../../x.mp4\n", "is not the list of testing videos"),
    "other folders": ("1 Photos/1.mp4\n", "is not the list of testing videos"),
}


@pytest.mark.parametrize("what", CELEB)
def test_celeb_dfs_list_is_refused_in_one_line(what: str, tmp_path: Path) -> None:
    content, says = CELEB[what]
    write("tree/List_of_testing_videos.txt", content)(tmp_path)
    params(tmp_path, "celebdf", path="tree")
    assert says in refusal(tmp_path, "download", "--set", "original", "--out", "data/raw/original")


def manifest(old: str, new: str) -> object:
    def spoil(folder: Path) -> None:
        path = folder / "raw/manifest.csv"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return spoil


LEFT = [
    Bad("no manifest", lambda folder: (folder / "raw/manifest.csv").unlink(), "not found; run `dvc repro`"),
    Bad("an empty manifest", write("raw/manifest.csv", ""), "not a readable table"),
    Bad("a manifest of zeros", write("raw/manifest.csv", bytes(4096)), "not a readable table"),
    Bad("a manifest in Latin-1", write("raw/manifest.csv", "vid\xe9o\n".encode("latin-1")), "not a readable table"),
    Bad("a column lost", manifest("video,person", "video,who"), "columns ['person'] are missing"),
    Bad("no number of frames", manifest(",8,25", ",eight,25"), "not a readable table"),
    Bad("a number of frames cut off", manifest(",8,25", ",,25"), "not a readable table"),
    Bad("parameters cut off", manifest(",{},", ',"{""a"":",'), "not a readable table"),
    Bad("no list of rejected ones", lambda f: (f / "raw/rejected.csv").unlink(), "rejected.csv: not found"),
]


@pytest.mark.parametrize("bad", LEFT, ids=str)
def test_what_a_stage_left_and_is_damaged_is_refused_in_one_line(bad: Bad, tmp_path: Path) -> None:
    raw_set(tmp_path / "raw", {"a": {}}, frames=8)
    params(tmp_path, "folder")
    bad.spoil(tmp_path)
    line = refusal(tmp_path, "sample", "--videos", "raw", "--out", "frames.parquet")
    assert bad.says in line and "dvc repro" in line, line


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 1000, b"PAR1" + bytes(100) + b"PAR1", None], ids=repr)
def test_a_damaged_parquet_is_refused_in_one_line(content: bytes | None, tmp_path: Path) -> None:
    raw_set(tmp_path / "raw", {"a": {}}, frames=8)
    params(tmp_path, "folder")
    if content is not None:
        write("frames.parquet", content)(tmp_path)
    line = refusal(tmp_path, "detect", "--videos", "raw", "--frames", "frames.parquet", "--out", "faces")
    assert "frames.parquet: not" in line and "run `dvc repro`" in line, line


def test_the_manifest_keeps_what_is_written(tmp_path: Path) -> None:
    about = json.dumps({"file": 'a "b", c;\nd'})
    raw_set(tmp_path / "raw", {"a": {"parameters": about, "person": "NA"}}, frames=8)
    row = read_manifest(tmp_path / "raw").iloc[0]
    assert (row["parameters"], row["person"], row["frames"]) == (about, "NA", 8) and read_rejected(
        tmp_path / "raw"
    ).empty

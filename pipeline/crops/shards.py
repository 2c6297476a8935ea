"""WebDataset shards, tars of crops: the only module that knows how they lie on disk.

<folder>/<bucket>-%06d.tar holds samples, runs of members <key>.<extension>; <folder>/index.parquet has a row for each,
with the place of its bytes, so that samples can also be read in any order. tarfile rather than webdataset's own writer,
whose import loads torch (5 s); webdataset reads what is written here (tests/crops/test_cropping.py).
"""

import io
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.work.errors import UserError
from pipeline.work.files import read_parquet, whole

INDEX = "index.parquet"
DEGRADED = "degraded"  # the crops in shards of the degrade stage, and the table of their encodings beside them
ENCODING = "encoding.csv"
COLUMNS = ("key", "bucket", "set", "person", "label", "shard", "offset", "bytes")  # that an index needs at least


class ShardWriter:
    """Write samples bucket by bucket, `shard_frames` a shard, and the index of all of them at the end.

    The same samples give the same bytes: no times, no owner. Shards appear whole, the index last.
    """

    def __init__(self, folder: Path, shard_frames: int) -> None:
        self.folder, self.shard_frames = folder, shard_frames
        self.rows: list[dict[str, Any]] = []
        self._buffer = io.BytesIO()
        self._bucket, self._number, self._held = "", 0, 0

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in [self.folder / INDEX, *self.folder.glob("*.tar")]:
            old.unlink(missing_ok=True)
        return self

    def write(self, bucket: str, key: str, files: Mapping[str, bytes], row: Mapping[str, Any]) -> None:
        """Add a sample of {extension: content} and its row of the index. Buckets must come one after the other."""
        if bucket != self._bucket:
            self._close_shard()
            if bucket in {row["bucket"] for row in self.rows}:
                raise ValueError(f"bucket {bucket} comes in two runs")
            self._bucket, self._number = bucket, 0
        offset = self._buffer.tell()
        for extension, content in files.items():
            member = tarfile.TarInfo(f"{key}.{extension}")  # mtime 0, no owner
            member.size = len(content)
            self._buffer.write(member.tobuf(tarfile.USTAR_FORMAT))
            self._buffer.write(content)
            self._buffer.write(bytes(-len(content) % tarfile.BLOCKSIZE))
        place = {"shard": self._name(), "offset": offset, "bytes": self._buffer.tell() - offset}
        self.rows.append({"key": key, "bucket": bucket, **row, **place})
        self._held += 1
        if self._held == self.shard_frames:
            self._close_shard()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self._close_shard()
            with whole(self.folder / INDEX) as part:
                pd.DataFrame(self.rows).to_parquet(part, index=False)

    def _name(self) -> str:
        return f"{self._bucket}-{self._number:06d}.tar"

    def _close_shard(self) -> None:
        if self._held == 0:
            return
        self._buffer.write(bytes(2 * tarfile.BLOCKSIZE))  # the end of an archive
        with whole(self.folder / self._name()) as part:
            part.write_bytes(self._buffer.getbuffer())
        self._buffer, self._held, self._number = io.BytesIO(), 0, self._number + 1


def read_index(folders: Sequence[Path], buckets: Iterable[str] | None = None) -> pd.DataFrame:
    """The rows of several folders of shards one after the other, with a column `path` of the shard's file.

    Only those of the given buckets; None for all. Raises: UserError for a missing index, a bucket without frames, or a
    person in two buckets, who could be trained on and tested.
    """
    tables = []
    for folder in folders:
        table = read_parquet(folder / INDEX, COLUMNS)
        tables.append(table.assign(path=[str(folder / shard) for shard in table["shard"]]))
    table = pd.concat(tables, ignore_index=True)
    if not table["label"].isin([0, 1]).all():
        raise UserError(f"{folders[0].parent}: labels other than 0 and 1; run the crop stage again")
    spread = table.groupby("person")["bucket"].nunique()
    if (spread > 1).any():
        raise UserError(
            f"{folders[0].parent}: {spread.idxmax()} is in more than one bucket; run the pipeline from download"
        )
    return table if buckets is None else of_buckets(table, buckets)


def of_buckets(index: pd.DataFrame, buckets: Iterable[str]) -> pd.DataFrame:
    """The rows of some buckets. Raises: UserError for a bucket without frames."""
    wanted = list(buckets)
    if missing := sorted(set(wanted) - set(index["bucket"])):
        names = ", ".join(dict.fromkeys(str(Path(path).parent) for path in index["path"]))
        raise UserError(f"{names}: no frames in bucket {', '.join(missing)}; see rejected.parquet there")
    return index[index["bucket"].isin(wanted)].reset_index(drop=True)


def read_sample(path: str, offset: int, size: int, key: str = "") -> dict[str, bytes]:
    """{extension: content} of the sample that takes `size` bytes of the shard from `offset`; key: that it must have.

    Raises: UserError naming the shard where it cannot be read, or where the index means another sample.
    """
    try:
        with Path(path).open("rb") as file:
            file.seek(offset)
            data = file.read(size)
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            members = archive.getmembers()
        if key and {m.name.partition(".")[0] for m in members} != {key}:
            raise tarfile.TarError(f"its index has {key} where {members[0].name if members else 'nothing'} lies")
    except (OSError, tarfile.TarError) as error:
        raise UserError(f"{path}: cannot be read ({error}); run the crop stage again") from None
    return {m.name.partition(".")[2]: data[m.offset_data : m.offset_data + m.size] for m in members}


def read_crops(row: Mapping[Any, Any] | pd.Series, qualities: Iterable[str]) -> dict[str, NDArray[np.uint8]]:
    """quality -> crop (S, S, 3) RGB, of a row that read_index gives.

    Raises: UserError naming the shard where it lacks a quality, or holds what is no image.
    """
    path, key = row["path"], row["key"]
    files = read_sample(path, row["offset"], row["bytes"], key)
    crops = {}
    for quality in qualities:
        if f"{quality}.png" not in files:
            raise UserError(f"{path}: no {quality} crops; add {quality} to params `compressions` and run again")
        data = np.frombuffer(files[f"{quality}.png"], np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
        if image is None:
            raise UserError(f"{path}: {key} is no image; run the crop stage again")
        crops[quality] = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    return crops

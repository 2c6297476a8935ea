"""Trainings side by side on one device: processes that start their windows together and count their steps."""

import multiprocessing
import queue
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

WARM = 5
PATIENCE = 120.0  # seconds that processes wait for each other


def measure(
    device: str, loads: Mapping[str, tuple[int, int, str]], counts: Sequence[int], seconds: float
) -> Iterator[dict[str, Any]]:
    """A row for each of `counts` trainings at once of each backbone. loads: backbone -> (size, batch, amp)."""
    context = multiprocessing.get_context("spawn")
    most = max(counts)
    barrier, results = context.Barrier(most), context.Queue()
    arguments = (device, loads, counts, seconds, barrier, results)
    processes = [context.Process(target=_train, args=(rank, *arguments)) for rank in range(most)]
    for process in processes:
        process.start()
    try:
        for backbone, (size, batch, amp) in loads.items():
            alone = 0.0
            for count in counts:
                found = [_next(results, processes) for _ in range(count)]
                rate, memory = sum(one[0] for one in found), max(one[1] for one in found)
                alone = alone or rate / count
                yield {
                    "backbone": f"{backbone}, {size} px, batch {batch}, {amp}",
                    "trainings": count,
                    "steps/s of all": rate,
                    "images/s of all": rate * batch,
                    "against one": rate / alone,
                    "GiB each": memory,
                }
    finally:
        for process in processes:
            process.join(1 if any(one.exitcode for one in processes) else 10)
            process.kill()


def _next(results: Any, processes: Sequence[Any]) -> tuple[float, float]:
    """The next result. Raises: RuntimeError as soon as a process has died, or where none comes."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            found: tuple[float, float] = results.get(timeout=0.5)
        except queue.Empty:
            if any(process.exitcode for process in processes):
                raise RuntimeError("a training beside others died; its error is in the log") from None
            continue
        return found
    raise RuntimeError(f"no result in {PATIENCE:.0f} s")


def _train(rank: int, device: str, loads: Any, counts: Sequence[int], seconds: float, barrier: Any, out: Any) -> None:
    try:
        _take_part(rank, device, loads, counts, seconds, barrier, out)
    except BaseException:
        barrier.abort()  # the others would wait for this one
        raise


def _take_part(
    rank: int, device: str, loads: Any, counts: Sequence[int], seconds: float, barrier: Any, results: Any
) -> None:
    from benchmarks import made_up
    from pipeline.training.trainer import Trainer

    torch.set_num_threads(1)
    for backbone, (size, batch, amp) in loads.items():
        for count in counts:
            source = made_up.resident(batch, size, device)
            window = _Window(source(), seconds, device, lambda: barrier.wait(PATIENCE))
            if rank < count:
                task = made_up.task("add", backbone, made_up.some(source))
                recipe = made_up.recipe("add", amp=amp, channels_last=True)
                trainer = Trainer(task, recipe, window, torch.device(device))
                trainer.run(None, made_up.Nowhere(), lambda row: None, "side by side")  # type: ignore[arg-type]
                memory = torch.cuda.max_memory_reserved() / 2**30 if device == "cuda" else float("nan")
                results.put((window.rate, memory))
                del trainer, task
                if device == "cuda":
                    torch.cuda.empty_cache()
            else:
                barrier.wait(PATIENCE)  # those that take part begin
            barrier.wait(PATIENCE)  # and have ended


class _Window:
    """A loader that gives WARM batches, waits for the others by `meet`, and counts what it gives in some seconds."""

    def __init__(self, batches: Iterator[Any], seconds: float, device: str, meet: Callable[[], Any]) -> None:
        self.batches, self.seconds, self.device, self.meet = batches, seconds, device, meet
        self.rate = 0.0

    def __len__(self) -> int:
        return 10**9  # never reached: the window ends before

    def epoch(self, number: int, skip: int = 0) -> Iterator[Any]:
        from benchmarks.measuring import settle

        for _ in range(WARM):
            yield next(self.batches)
        settle(self.device)
        self.meet()
        steps, started = 0, time.perf_counter()
        while time.perf_counter() - started < self.seconds:
            yield next(self.batches)
            steps += 1
            if steps % 4 == 0:  # else a device that lags would be counted ahead of its work
                settle(self.device)
        settle(self.device)
        self.rate = steps / (time.perf_counter() - started)

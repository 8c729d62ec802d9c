"""Transcribes several files at once, shows a progress bar for each, and yields each file as soon as it is done."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from client.errors import ClientError
from client.fleet import FleetClient
from client.records import JobRecord

#: How many files are uploaded or waited for at the same time.
PARALLEL_FILES = 8
#: How often a progress bar is updated: each long-poll lasts at most this long.
REFRESH_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A file and its transcript, or the error that prevented one."""

    path: Path
    transcript: Any = None
    error: ClientError | None = None


@dataclass(frozen=True, kw_only=True)
class _Common:
    """Arguments that all files share."""

    client: FleetClient
    format: str
    options: dict[str, Any]
    timeout: float | None


def transcribe_all(
    client: FleetClient,
    paths: Sequence[Path],
    format: str,
    options: dict[str, Any],
    console: Console,
    timeout: float | None = None,
) -> Iterator[Finished]:
    """Submit all files and yield each one when it is done: the first to finish comes first.

    After `timeout` seconds of waiting, a file is yielded with the error `wait_timeout`. Progress bars are drawn on `console` if
    it is a terminal.
    """
    common = _Common(client=client, format=format, options=options, timeout=timeout)
    with _bars(console) as bars, _pool() as pool:
        lines = {path: bars.add_task(path.name, total=None, state="uploading") for path in paths}
        waiting = [pool.submit(_transcribe, common, path, bars, lines[path]) for path in paths]
        yield from _as_they_come(waiting)


def _as_they_come(waiting: Sequence[Future[Finished]]) -> Iterator[Finished]:
    for done in as_completed(waiting):
        yield done.result()


def _transcribe(common: _Common, path: Path, bars: Progress, line: TaskID) -> Finished:
    def show(record: JobRecord) -> None:
        progress = record.body.get("progress") or {}
        bars.update(
            line, state=record.status, total=progress.get("audio_seconds"), completed=progress.get("audio_seconds_done", 0.0)
        )

    try:
        record = common.client.submit(path, **common.options)
        show(record)
        ended = common.client.wait(record, timeout=common.timeout, on_update=show, poll_seconds=REFRESH_SECONDS)
        finished = Finished(path=path, transcript=common.client.result(ended.job_id, format=common.format))
    except ClientError as error:
        finished = Finished(path=path, error=error)
    except OSError as error:
        finished = Finished(path=path, error=ClientError("unreadable_file", str(error)))
    bars.update(line, state="failed" if finished.error else "completed", total=1.0, completed=1.0)
    return finished


@contextmanager
def _bars(console: Console) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, redirect_stdout=True) as bars:
        yield bars


@contextmanager
def _pool() -> Iterator[ThreadPoolExecutor]:
    """Does not wait for its threads at the end, so that Ctrl-C works at once. Files not yet started are dropped; jobs go on."""
    pool = ThreadPoolExecutor(PARALLEL_FILES, thread_name_prefix="transcribe")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)

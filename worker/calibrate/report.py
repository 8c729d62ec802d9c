"""What `whisper-fleet calibrate` prints. Everything fits into 80 columns."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console, RenderableType
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Table

from worker.calibrate.measuring import Measured
from worker.calibrate.recordings import Recording
from worker.calibrate.verdict import is_accurate
from worker.calibrate.words import word_errors

#: Most recordings whose words differ that are listed.
LISTED = 8
#: The least width of a terminal, in columns, in which the table is readable.
TABLE_COLUMNS = 76


class Bar:
    """Tells on the terminal how far the measuring is, in seconds of audio."""

    def __init__(self, bar: RichProgress, task: TaskID) -> None:
        self._bar, self._task = bar, task

    def begins(self, what: str) -> None:
        """The next part begins: an encoder, or the loading of the model."""
        self._bar.update(self._task, description=what)

    def has_heard(self, seconds: float) -> None:
        """A recording has been transcribed in one configuration."""
        self._bar.advance(self._task, seconds)


@contextmanager
def progress_bar(console: Console, seconds: float) -> Iterator[Bar]:
    """A progress bar in seconds of audio. It is removed when all is measured."""
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"), TimeRemainingColumn()
    with RichProgress(*columns, console=console, transient=True) as bar:
        yield Bar(bar, bar.add_task("loading", total=seconds))


def comparison(measured: Sequence[Measured], recordings: Sequence[Recording], width: int) -> RenderableType:
    """Each configuration against the first one: a table, or a line for each cell where a table does not fit."""
    rows = [_cells(one, measured[0], recordings) for one in measured]
    if width < TABLE_COLUMNS:
        return "\n\n".join("\n".join(f"{name}: {cell}" for name, cell in row.items()) for row in rows) + "\n"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in rows[0]:
        table.add_column(name.replace(" ", "\n"), justify="left" if name in {"encoder", "window"} else "right")
    for row, one in zip(rows, measured, strict=True):
        table.add_row(*row.values(), style=None if is_accurate(one, measured[0], recordings) else "yellow")
    return table


def _cells(one: Measured, first: Measured, recordings: Sequence[Recording]) -> dict[str, str]:
    """The cells of a row, by the names of their columns."""
    used = one.configuration
    cells = {
        "encoder": f"{used.encoder} {used.precision}",
        "window": used.window,
        "time": f"{one.seconds:.1f} s",
        "speed-up": f"{first.seconds / one.seconds:.1f} x",
        "words agree": _percent(one.against(first).agreement),
    }
    if any(recording.reference is not None for recording in recordings):
        cells["word errors"] = _percent(one.against_references(recordings).rate)
    return cells | {"short": str(one.short_windows), "made anew": str(one.fallbacks)}


def other_words(measured: Sequence[Measured], recordings: Sequence[Recording]) -> list[str]:
    """The recordings whose words differ most from those of the first configuration: a line for each."""
    worst: dict[str, tuple[float, str]] = {}
    for one in measured[1:]:
        for recording, *texts in zip(recordings, measured[0].texts, one.texts, strict=True):
            agreement = word_errors(*texts).agreement
            if agreement < worst.get(recording.name, (1.0, ""))[0]:
                worst[recording.name] = agreement, f"{one.configuration.encoder}, {one.configuration.window}"
    listed = sorted(worst.items(), key=lambda item: item[1][0])
    lines = [f"  {name}: {_percent(agreement)} ({where})" for name, (agreement, where) in listed[:LISTED]]
    return lines + ([f"  and {len(listed) - LISTED} more"] if len(listed) > LISTED else [])


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def duration(seconds: float) -> str:
    """A length for people."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"

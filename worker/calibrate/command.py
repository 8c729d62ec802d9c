"""The command `whisper-fleet calibrate`. The other modules load the model's libraries, so they are imported late."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from rich.console import Console
from rich.markup import escape

from shared.logs import configure
from shared.transcripts.transcript import EncoderWindow
from worker.model.allocator import keep_freed_memory

if TYPE_CHECKING:
    from shared.settings import WorkerSettings

EXIT_FAILED, EXIT_BAD_SETTINGS = 1, 2
#: In the order of the rows. The first encoder with the first window is what the others are compared with.
ENCODERS, WINDOWS = ("ctranslate2", "openvino"), get_args(EncoderWindow)


def _known(names: tuple[str, ...]) -> Any:
    def checked(chosen: list[str]) -> list[str]:
        if unknown := set(chosen) - set(names):
            raise typer.BadParameter(f"{', '.join(sorted(unknown))}: not one of {', '.join(names)}.")
        return [name for name in names if name in chosen] or list(names)

    return checked


def calibrate(
    files: Annotated[list[Path], typer.Argument(help="Audio of the kind you serve.", exists=True, dir_okay=False, readable=True)],
    references: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the reference texts, if they are not beside the audio.", exists=True, file_okay=False, readable=True
        ),
    ] = None,
    encoder: Annotated[
        list[str], typer.Option(help="Compare this encoder; repeat for more; left out: all.", callback=_known(ENCODERS))
    ] = [],  # noqa: B006 - Typer copies it
    window: Annotated[
        list[str], typer.Option(help="Compare this encoder window; repeat for more; left out: all.", callback=_known(WINDOWS))
    ] = [],  # noqa: B006
) -> None:
    """Find the fastest WHISPER_ENCODER and WHISPER_ENCODER_WINDOW that hear your audio well.

    Transcribes each file with each encoder and window, one at a time, with the model and the other settings of this machine's
    worker. It shows how long each took, how many words agree with the first row, how many windows were short, and how many of
    these were decoded again. Case and punctuation do not count.

    Where you know what is said, put it into a text beside the audio (call.wav, call.txt): then you also see the word error rate.

    Examples:

      whisper-fleet calibrate recordings/*.wav

      WHISPER_MODEL=small whisper-fleet calibrate --references texts/ calls/*.mp3

      whisper-fleet calibrate --encoder openvino --window full --window trimmed *.flac
    """
    keep_freed_memory()
    configure("WARNING", "console")
    from worker.calibrate.recordings import UnreadableFile, read_recordings

    console, started = Console(highlight=False), time.monotonic()
    settings = _settings(console)
    try:
        with console.status(f"reading {len(files)} files"):
            recordings = read_recordings(files, references, settings.max_audio_length_seconds)
    except UnreadableFile as error:
        raise _failure(console, str(error)) from error
    _compare(console, settings, recordings, encoder, window)
    console.print(f"Took {time.monotonic() - started:.0f} s.")


def _settings(console: Console) -> "WorkerSettings":
    from pydantic import ValidationError

    from shared.settings import WorkerSettings, complaint

    try:
        return WorkerSettings()
    except ValidationError as error:
        raise _failure(console, complaint(error), EXIT_BAD_SETTINGS) from error


def _compare(console: Console, settings: "WorkerSettings", recordings: Any, encoders: list[str], windows: Any) -> None:
    """Measure, and print what came out."""
    from worker.calibrate.measuring import measure_all
    from worker.calibrate.report import comparison, duration, other_words, progress_bar
    from worker.calibrate.verdict import advice
    from worker.chosen_engine import chosen_engine

    seconds, engine = sum(recording.seconds for recording in recordings), chosen_engine(settings)
    known = sum(recording.reference is not None for recording in recordings)
    console.print(
        f"Files: {len(recordings)}, {duration(seconds)} of audio, {known or 'none'} with a reference text.\n"
        f"Model {escape(engine.name)}, beam {engine.beam_size}, {engine.cpu_threads} threads."
    )
    try:
        with progress_bar(console, seconds * len(encoders) * len(windows)) as bar:
            measured, reasons = measure_all(recordings, engine, encoders, windows, bar)
    except Exception as error:  # whatever a library raises when it cannot load the model
        raise _failure(console, f"The model cannot be used ({type(error).__name__}): {error}") from error
    for name, reason in reasons.items():
        console.print(f"[yellow]{name} is left out: {escape(reason)}[/yellow]")
    if not measured:
        raise _failure(console, "No encoder could be measured.")
    console.print(comparison(measured, recordings, console.width))
    if lines := other_words(measured, recordings):
        console.print("Words agree least with the first row in", *map(escape, lines), sep="\n")
    console.print(*map(escape, advice(measured, recordings)), sep="\n")


def _failure(console: Console, text: str, code: int = EXIT_FAILED) -> typer.Exit:
    """Print why the command ends. Returns the exception that ends it."""
    console.print(f"[red]{escape(text)}[/red]", soft_wrap=True)
    return typer.Exit(code)

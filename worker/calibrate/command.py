"""The command `whisper-fleet calibrate`. The module `window_comparison` does the work, and loads the model's libraries."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from worker.model.allocator import keep_freed_memory

EXIT_UNREADABLE = 1


def calibrate(
    files: Annotated[list[Path], typer.Argument(help="Audio of the kind you serve.", exists=True, dir_okay=False)],
) -> None:
    """Compare WHISPER_ENCODER_WINDOW=adaptive with full on your audio, with the model and options of the worker's settings."""
    keep_freed_memory()
    from shared.errors import FleetError
    from worker.calibrate.window_comparison import compare_all, comparison_table, recommendation

    console = Console()
    try:
        compared = compare_all(files, console)
    except FleetError as error:
        console.print(f"[red]{error.message}[/red]")
        raise typer.Exit(EXIT_UNREADABLE) from error
    console.print(comparison_table(compared))
    console.print(recommendation(compared))

"""`whisper-fleet`: the command line of the client."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer
from rich.console import Console
from rich.table import Table

from client.batch import Finished, transcribe_all
from client.errors import ClientError
from client.fleet import FleetClient

Params = ParamSpec("Params")

COMMANDS = "whisper_fleet.commands"

app = typer.Typer(name="whisper-fleet", help="Talk to a transcription fleet.", no_args_is_help=True, add_completion=False)

Url = Annotated[str, typer.Option("--url", envvar="WHISPER_FLEET_URL", help="Address of a gateway.")]
Key = Annotated[str | None, typer.Option("--api-key", envvar="API_KEY", help="Key of the fleet.", show_envvar=True)]
Format = Annotated[str, typer.Option("--format", "-f", help="text, json, verbose_json, srt, vtt or tsv.")]
Language = Annotated[str | None, typer.Option("--language", "-l", help="What is spoken, such as en; left out: detected.")]
TaskOption = Annotated[str | None, typer.Option("--task", help="transcribe, or translate into English.")]
Model = Annotated[str | None, typer.Option("--model", "-m", help="The fleet's model, when it has several.")]
Prompt = Annotated[str | None, typer.Option("--prompt", help="Names and terms that occur in it.")]
Priority = Annotated[str | None, typer.Option("--priority", help="interactive, or batch for what can wait.")]
Words = Annotated[bool, typer.Option("--word-timestamps", help="Times for each word (json, verbose_json).")]
Files = Annotated[list[Path], typer.Argument(help="Audio or video files.", exists=True, dir_okay=False, readable=True)]
JobId = Annotated[str, typer.Argument(help="What submit printed.")]

for _found in entry_points(group=COMMANDS):
    # Other parts of the fleet add commands, such as the worker's `calibrate`. Skip a command whose libraries are not installed.
    with suppress(ImportError):
        app.command(_found.name)(_found.load())

DEFAULT_URL = "http://127.0.0.1:8000"
EXIT_FAILED = 1


def _reporting(command: Callable[Params, None]) -> Callable[Params, None]:
    """Turn a `ClientError` into one line on stderr and exit code 1."""

    @wraps(command)
    def wrapped(*args: Params.args, **kwargs: Params.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except ClientError as error:
            Console(stderr=True, highlight=False).print(f"[red]{error}[/red]", soft_wrap=True)
            raise typer.Exit(EXIT_FAILED) from error

    return wrapped


@app.command()
@_reporting
def transcribe(
    files: Files,
    url: Url = DEFAULT_URL,
    api_key: Key = None,
    format: Format = "text",
    output_dir: Annotated[Path | None, typer.Option("--output-dir", "-o", help="Write NAME.FORMAT there instead.")] = None,
    language: Language = None,
    task: TaskOption = None,
    model: Model = None,
    prompt: Prompt = None,
    priority: Priority = None,
    word_timestamps: Words = False,
) -> None:
    """Transcribe files and print each transcript as it arrives. The exit code is 1 if any file failed."""
    options = _options(language, task, model, prompt, priority, word_timestamps)
    failed = 0
    console = Console(stderr=True)
    with _client(url, api_key) as client:
        for finished in transcribe_all(client, files, format, options, console):
            _show(finished, format, output_dir, len(files) > 1, console)
            failed += finished.error is not None
    if failed:
        raise typer.Exit(EXIT_FAILED)


@app.command()
@_reporting
def submit(
    files: Files,
    url: Url = DEFAULT_URL,
    api_key: Key = None,
    language: Language = None,
    task: TaskOption = None,
    model: Model = None,
    prompt: Prompt = None,
    priority: Priority = None,
    word_timestamps: Words = False,
) -> None:
    """Submit files and print their job ids, one per line, in the order of the files."""
    options = _options(language, task, model, prompt, priority, word_timestamps)
    with _client(url, api_key) as client:
        for path in files:
            print(client.submit(path, **options).job_id, flush=True)


@app.command()
@_reporting
def status(
    job: JobId,
    url: Url = DEFAULT_URL,
    api_key: Key = None,
    wait: Annotated[float | None, typer.Option(help="Wait for its end, at most so many seconds.")] = None,
) -> None:
    """Print a job's record as JSON."""
    with _client(url, api_key) as client:
        _print_json(dict(client.job(job, wait=wait).body))


@app.command()
@_reporting
def result(job: JobId, url: Url = DEFAULT_URL, api_key: Key = None, format: Format = "text") -> None:
    """Print a finished job's transcript."""
    with _client(url, api_key) as client:
        print(_as_text(client.result(job, format=format)))


@app.command()
@_reporting
def cancel(job: JobId, url: Url = DEFAULT_URL, api_key: Key = None) -> None:
    """Cancel a job, or erase it if it has already ended."""
    with _client(url, api_key) as client:
        client.cancel(job)


@app.command()
@_reporting
def stats(url: Url = DEFAULT_URL, api_key: Key = None) -> None:
    """Print the fleet's figures."""
    with _client(url, api_key) as client:
        table = Table(show_header=False, box=None)
        for name, value in client.stats().items():
            table.add_row(name, value if isinstance(value, str) else json.dumps(value))
        Console().print(table)


@contextmanager
def _client(url: str, api_key: str | None) -> Iterator[FleetClient]:
    with FleetClient(url, api_key) as client:
        yield client


def _options(
    language: str | None, task: str | None, model: str | None, prompt: str | None, priority: str | None, words: bool
) -> dict[str, Any]:
    given = {"language": language, "task": task, "model": model, "prompt": prompt, "priority": priority}
    return {k: v for k, v in given.items() if v is not None} | ({"word_timestamps": True} if words else {})


def _show(finished: Finished, format: str, output_dir: Path | None, named: bool, console: Console) -> None:
    """Print the transcript to stdout (or write it to `output_dir`) and errors to stderr, so that a pipe gets transcripts only."""
    if finished.error is not None:
        console.print(f"[red]{finished.path.name}: {finished.error}[/red]", highlight=False, soft_wrap=True)
        return
    text = _as_text(finished.transcript)
    if output_dir is None:
        print(f"{finished.path.name}: {text}" if named and format == "text" else text, flush=True)
        return
    output_dir.mkdir(parents=True, exist_ok=True)
    suffix = {"text": "txt", "verbose_json": "json"}.get(format, format)
    output_dir.joinpath(f"{finished.path.name}.{suffix}").write_text(text + "\n", encoding="utf-8")


def _as_text(transcript: Any) -> str:
    return transcript.rstrip("\n") if isinstance(transcript, str) else json.dumps(transcript, ensure_ascii=False, indent=2)


def _print_json(body: dict[str, Any]) -> None:
    print(json.dumps(body, ensure_ascii=False, indent=2))


if __name__ == "__main__":
    app()

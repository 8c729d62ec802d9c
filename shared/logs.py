"""Logging for all processes: structlog events with named fields. No field ever holds content, prompts or audio."""

import logging
import sys

import structlog


def configure(level: str, style: str) -> None:
    """Send all logs, those of libraries too, to stderr at `level`, for people (`console`) or for machines (`json`).

    The fleet's own logs go there directly: through the standard library a line costs three times as much, and the gateway writes
    a line for each submit.
    """
    numeric = logging.getLevelNamesMapping()[level] if hasattr(logging, "getLevelNamesMapping") else logging.getLevelName(level)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    rendering = [structlog.processors.JSONRenderer()] if style == "json" else [_printable, console]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=numeric, handlers=[handler], force=True)
    structlog.configure(
        processors=[*shared, *rendering],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        cache_logger_on_first_use=True,
    )


def _printable(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Show control characters as in a Python string: terminals obey them, and some values (paths) come from callers."""
    for name, value in event.items():
        if isinstance(value, str) and name != "exception" and not value.isprintable():
            event[name] = "".join(one if one.isprintable() else repr(one)[1:-1] for one in value)
    return event


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger for one module."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
    return logger

"""Log lines for people: one event a line, `08:30:01 n1 info  store  Redis at 127.0.0.1:6379 is up`.

The columns are time of day, who speaks, level, area (the logger's name below `simpul`) and what happened.
"""

import logging
import os
import sys
from collections.abc import Mapping
from typing import TextIO

from service.config import Config

_RESET = "\x1b[0m"
_DIM = "\x1b[2m"
_LEVEL_COLOURS = {"debug": _DIM, "info": "\x1b[32m", "warn": "\x1b[33m", "error": "\x1b[31m", "fatal": "\x1b[1;31m"}
_SPEAKER_COLOURS = ("\x1b[36m", "\x1b[35m", "\x1b[34m", "\x1b[33m", "\x1b[32m")
_LEVEL_WORDS = {"WARNING": "warn", "CRITICAL": "fatal"}
_AREA_WORDS = {"uvicorn.error": "http", "uvicorn": "http", "py.warnings": "python"}

_MESSAGE_CONTROLS = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160))}
_TRACE_CONTROLS = {code: text for code, text in _MESSAGE_CONTROLS.items() if chr(code) not in "\n\t"}


class LineFormatter(logging.Formatter):
    """One line an event; a traceback follows its event, indented."""

    def __init__(self, speaker: str, *, colour: bool) -> None:
        super().__init__(datefmt="%H:%M:%S")
        self._speaker = speaker
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        level = _LEVEL_WORDS.get(record.levelname, record.levelname.lower())
        area = _AREA_WORDS.get(record.name, record.name.removeprefix("simpul."))
        # Names from requests reach messages: a newline or an escape sequence in one must not forge a second line.
        message = record.getMessage().translate(_MESSAGE_CONTROLS)
        columns = [
            self._paint(_DIM, self.formatTime(record, self.datefmt)),
            self._paint(_speaker_colour(self._speaker), self._speaker),
            self._paint(_LEVEL_COLOURS.get(level, ""), f"{level:<5}"),
            self._paint(_DIM, f"{area:<9}"),
            message,
        ]
        return " ".join(columns) + self._traceback(record)

    def _traceback(self, record: logging.LogRecord) -> str:
        if not record.exc_info:
            return ""
        text = self.formatException(record.exc_info).translate(_TRACE_CONTROLS)
        return "".join(f"\n    {line}" for line in text.splitlines())

    def _paint(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_RESET}" if self._colour and colour else text


def configure(config: Config) -> None:
    """Send this process's log lines to standard error. May be called again: the last call counts."""
    setup(config.node_id, level=config.log_level, colour=wants_colour(config.log_colour, sys.stderr, os.environ))


def setup(speaker: str, *, level: str, colour: bool) -> None:
    """As `configure`, for a process that is not a node."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(speaker, colour=colour))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    # Libraries and asyncio ("Task exception was never retrieved") are heard from warning upwards, whatever our
    # own level is; uvicorn's start and stop chatter only when debugging, since the node says the same itself.
    root.setLevel(logging.WARNING)
    chosen = getattr(logging, level.upper())
    logging.getLogger("simpul").setLevel(chosen)
    server = logging.getLogger("uvicorn.error")
    server.setLevel(logging.DEBUG if chosen == logging.DEBUG else logging.WARNING)
    server.propagate = True
    logging.getLogger("uvicorn.access").disabled = True
    logging.captureWarnings(True)


def wants_colour(choice: str, stream: TextIO, env: Mapping[str, str]) -> bool:
    """`auto` follows no-color.org: a non-empty NO_COLOR wins over the terminal."""
    if choice != "auto":
        return choice == "always"
    return stream.isatty() and not env.get("NO_COLOR") and env.get("TERM") != "dumb"


def _speaker_colour(speaker: str) -> str:
    """The same name has the same colour in every process: n1, n2, n3 differ by their last character."""
    return _SPEAKER_COLOURS[ord(speaker[-1]) % len(_SPEAKER_COLOURS)]

"""Log lines: one event a line, readable with and without colour."""

import io
import logging
import warnings
from collections.abc import Iterator

import pytest

from service import config, logs
from service.redis_url import without_password


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Output:
    """What was written to standard error so far."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._so_far = ""

    def getvalue(self) -> str:
        self._so_far += self._capsys.readouterr().err
        return self._so_far


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Iterator[Output]:
    """Standard error; the logging tree is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield Output(capsys)
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("uvicorn.access").disabled = False
    for name in ("simpul", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def configured(**env: str) -> None:
    logs.configure(config.load({"NODE_ID": "n1", **env}))


def test_an_event_is_one_line_with_time_speaker_level_area_and_message(output: Output) -> None:
    configured()
    logging.getLogger("simpul.store").info("Redis at %s is up", "127.0.0.1:6379")
    time_of_day, rest = output.getvalue().split(" ", 1)
    assert len(time_of_day.split(":")) == 3
    assert rest == "n1 info  store     Redis at 127.0.0.1:6379 is up\n"


def test_a_newline_in_a_name_cannot_forge_a_line(output: Output) -> None:
    configured()
    logging.getLogger("simpul.lock").warning("refused %s", "r1\n08:30:01 n2 error store gone \x1b[2J")
    assert output.getvalue().count("\n") == 1
    assert "r1\\n08:30:01" in output.getvalue()
    assert "\x1b" not in output.getvalue()


def test_a_traceback_follows_its_event_indented(output: Output) -> None:
    configured()
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("simpul.http").exception("request failed")
    first, *following = output.getvalue().splitlines()
    assert first.endswith("request failed")
    assert following[-1] == "    ValueError: broken"
    assert all(line.startswith("    ") for line in following)


def test_the_level_chooses_our_lines_and_libraries_are_heard_from_warning_upwards(output: Output) -> None:
    configured(SIMPUL_LOG_LEVEL="error")
    logging.getLogger("simpul.store").warning("ours, not asked for")
    logging.getLogger("asyncio").info("library chatter")
    logging.getLogger("asyncio").error("Task exception was never retrieved")
    assert "Task exception was never retrieved" in output.getvalue()
    assert output.getvalue().count("\n") == 1


def test_a_python_warning_becomes_a_line(output: Output) -> None:
    configured()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old way", UserWarning, stacklevel=1)
    assert "n1 warn  python" in output.getvalue()


def test_uvicorn_errors_are_shown_and_its_start_up_lines_and_access_log_are_not(output: Output) -> None:
    configured()
    logging.getLogger("uvicorn.error").info("Started server process [1]")
    logging.getLogger("uvicorn.access").error("GET / 200")
    logging.getLogger("uvicorn.error").error("Exception in ASGI application")
    assert output.getvalue().endswith("n1 error http      Exception in ASGI application\n")
    assert output.getvalue().count("\n") == 1


def test_configuring_again_does_not_double_the_lines(output: Output) -> None:
    configured()
    configured()
    logging.getLogger("simpul.node").info("once")
    assert output.getvalue().count("once") == 1


@pytest.mark.parametrize(
    ("choice", "stream", "env", "expected"),
    [
        ("auto", Terminal(), {}, True),
        ("auto", io.StringIO(), {}, False),
        ("auto", Terminal(), {"NO_COLOR": "1"}, False),
        ("auto", Terminal(), {"NO_COLOR": ""}, True),
        ("auto", Terminal(), {"TERM": "dumb"}, False),
        ("always", io.StringIO(), {"NO_COLOR": "1"}, True),
        ("never", Terminal(), {}, False),
    ],
)
def test_colour_is_for_terminals_unless_chosen(
    choice: str, stream: io.StringIO, env: dict[str, str], expected: bool
) -> None:
    assert logs.wants_colour(choice, stream, env) is expected


def test_a_shown_url_has_no_password() -> None:
    assert without_password("redis://bob:s3cret@db:6379/0") == "redis://bob:***@db:6379/0"
    assert without_password("redis://:s3cret@[::1]:6379") == "redis://:***@[::1]:6379"
    assert without_password("redis://db:6379/0") == "redis://db:6379/0"

"""Parses the gate's command line: what it asks the worker."""

from __future__ import annotations

HOST = "127.0.0.1"  # where a worker listens that has a port
TYPES = ("http", "tcp", "command")

_LONGEST_SPAN = 1_000_000.0  # "infinity" too: poll(2) takes no more than 24 days
_SHOWN = 120  # characters of unexpected text that are shown in the journal


class UsageProblem(Exception):
    """The command line is wrong."""


class ProbeOptions:
    """The parsed command line; spans in seconds. Exactly one of `port` and `socket` is set."""

    __slots__ = (
        "budget",
        "host_field",
        "name",
        "path",
        "pid",
        "port",
        "probe_timeout",
        "routers",
        "run",
        "serving",
        "socket",
        "status",
        "type",
    )

    def __init__(self) -> None:
        self.type = "http"
        self.host_field = ""  # "": the address
        self.status = [(200, 200)]  # both ends included
        self.run: list[str] = []
        self.port = 0
        self.socket = ""
        self.path = "/health"
        self.probe_timeout = 5.0
        self.budget = 55.0
        self.pid: int | None = None
        self.serving = ""  # the file to make; "": probe only
        self.routers = ""
        self.name = ""

    @property
    def url(self) -> str:
        """What is asked, in the form that the journal shows."""
        if self.type == "command":
            return f"command {shown(' '.join(self.run))}"
        if self.type == "tcp":
            return f"unix:{self.socket}" if self.socket else f"tcp://{HOST}:{self.port}"
        return f"unix:{self.socket}:{self.path}" if self.socket else f"http://{HOST}:{self.port}{self.path}"


def parse(arguments: list[str]) -> ProbeOptions:
    """Parse the command line. Raises UsageProblem."""
    options = ProbeOptions()
    words = iter(arguments)
    for word in words:
        option, equals, value = word.partition("=")
        _take(options, option, value if equals else next(words, ""))
    if bool(options.socket) == bool(options.port):
        raise UsageProblem("give one of --port and --socket")
    if not options.path.startswith("/") or not options.path.isascii() or not options.path.isprintable():
        raise UsageProblem(f"--path {shown(options.path)}: not a path")
    if " " in options.path:
        raise UsageProblem(f"--path {options.path}: write a space as %20")
    if options.type not in TYPES:
        raise UsageProblem(f"--type {shown(options.type)}: not one of {', '.join(TYPES)}")
    if bool(options.run) != (options.type == "command"):
        raise UsageProblem("--run and --type command go together")
    if not options.host_field.isascii() or not options.host_field.isprintable() or " " in options.host_field:
        raise UsageProblem(f"--host-field {shown(options.host_field)}: no name of a host")
    return options


def shown(text: str, limit: int = _SHOWN) -> str:
    """Foreign text made safe for the journal: short, on one line, without control characters."""
    cut = text[:limit] + ("..." if len(text) > limit else "")
    return "".join(c if " " <= c <= "~" else f"\\x{ord(c):02x}" for c in cut)


def _take(options: ProbeOptions, option: str, value: str) -> None:
    try:
        match option:
            case "--port":
                options.port = _port(value)
            case "--probe-timeout":
                options.probe_timeout = _span(value)
            case "--budget":
                options.budget = _span(value)
            case "--type" | "--socket" | "--path" | "--serving" | "--routers" | "--name":
                setattr(options, option[2:], value)
            case "--pid":
                options.pid = int(value or 0)  # systemd drops an unset $MAINPID: the process has ended
            case _:
                _take_question(options, option, value)
    except ValueError:
        raise UsageProblem(f"{option} {shown(value)}: not valid") from None


def _take_question(options: ProbeOptions, option: str, value: str) -> None:
    """The options about the health check."""
    match option:
        case "--host-field":
            options.host_field = value
        case "--status":
            options.status = [_codes(each) for each in value.split(",")]
        case "--run":
            options.run.append(value)
        case _:
            raise UsageProblem(f"{shown(option)}: no such option")


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise ValueError(text)
    return port


def _codes(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    return int(first), int(last if dash else first)


def _span(text: str) -> float:
    seconds = float(text)  # "infinity" is a float too
    if not seconds > 0:
        raise ValueError(text)
    return min(seconds, _LONGEST_SPAN)

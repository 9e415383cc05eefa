"""The readiness gate: ExecStartPost= of every worker that can not say READY=1 itself (systemd.service(5)).

    /usr/bin/python3 -I -S gate.py --port 9000 | --url http://127.0.0.1:9000/health | --socket PATH
        [--type http] [--path /health] [--host-field NAME] [--status 200,204,300-399]
        [--type tcp] [--type command --run WORD [--run WORD]...]
        [--host ADDRESS] [--probe-timeout SECONDS] [--budget SECONDS] [--pid $MAINPID]
        [--serving FILE --routers DIR --name NAME]

The unit stays "activating" until this ends: exit 0 the worker is well (it answered with one of the statuses, took a
connection, or the command exited with 0), and the file `serving` is made, on
which the routers send requests. The other exit statuses are the verdict (`READY` and what follows it): they reach who
asks systemd even where the journal's line does not, and are of the range that no specification has a name for
(systemd.exec(5), PROCESS EXIT CODES), so `systemctl status` prints them as they are. It runs as the worker's user
inside its sandbox, once per start, so the interpreter is most of its cost: nothing but built-in modules is imported
(argparse, pathlib, typing and socket would double it). systemd would wait for ExecStartPost= after the main process
died: a pidfd ends that wait at once. The budget begins when this process does, as systemd's time does: on a busy host
the sandbox takes a good part of it. systemd's own time is longer; where it ends all the same, the verdict is said.

While nothing listens, an attempt leaves no trace with the worker, so they come often; an answer is a line in its log,
so after a bad one the pauses grow.

An answer counts only from a process of our own user: any program may sit on a free port (proc(5), /proc/net/tcp).
Inside PrivateUsers= the kernel shows other users as 65534, which is as different.
"""

from __future__ import annotations

import _socket as socket
import errno
import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal

    from tqunits.alone import join, owner
else:  # isolated (-I), Python looks for nothing beside the program
    import _signal

    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib costs more
    import join
    import owner

READY = 0
USAGE = 2  # the command line is wrong: INVALIDARGUMENT, as systemd calls it
UNHEALTHY = 150  # it answers, but not with such a status; the command exits with another than 0
SILENT = 151  # nothing listens at its address
SLOW = 152  # it listens, and gives no answer in time
FOREIGN = 153  # the answer is of another user's process: it has the worker's port
ELSEWHERE = 154  # the worker listens, at another address than its own
EXITED = 155  # the worker's process is gone
UNPLACED = 156  # it is healthy, but the file `serving` can not be made

_SIGTERM = 15
_FIRST_PAUSE = 0.001  # a compiled worker listens within a few milliseconds
_SHARE = 0.05  # of the time so far: who listens after two seconds is noticed a tenth of a second later
_LONGEST_PAUSE = 0.25
_FIRST_PAUSE_OF_ANSWERS = 0.05
_LONGEST_PAUSE_OF_ANSWERS = 1.0
_GROWTH = 1.5
_FIRST_CHANCE = 2.0  # for the first attempt, even when a busy host has let all of the budget pass before it
_LAST_CHANCE = 0.05  # before the end of the budget, for the last attempt
_LONGEST_SPAN = 1_000_000.0  # "infinity" too: poll(2) takes no more than 24 days
_LONGEST_AGE = 10.0  # seconds; a clock namespace or a pause of the host would make it any number
_HEAD_LIMIT = 4096  # a status line is far shorter; what follows it does not matter
_REST_LIMIT = 65536  # of an answer: a health check says little more than its status
_FAREWELL = 0.1  # seconds for the rest of it, from a worker that keeps its connections all the same
_SHOWN = 120  # characters of a strange answer worth a place in the journal
_BODY_SHOWN = 200  # bytes of what comes with a bad status: most say there what is wrong
_WELL = "well"
_GONE = (errno.ECONNREFUSED, errno.ENOENT)


class UsageProblem(Exception):
    """The command line is wrong."""


class Exited(Exception):
    """The worker's process is gone."""


class Terminated(Exception):
    """Somebody ends this process: systemd, whose patience is over, or who stops the unit."""


class NotHealthy(Exception):
    """One probe failed: `kind` counts it, `answer` is what the journal shows, `verdict` the exit status if it is the
    last one.
    """

    def __init__(self, kind: str, answer: str, verdict: int = UNHEALTHY) -> None:
        super().__init__(answer)
        self.kind = kind
        self.answer = answer
        self.verdict = verdict


class Record:
    """What all probes have brought: how often each kind, and the last one that was an answer."""

    __slots__ = ("answer", "begin", "tally", "verdict")

    def __init__(self, begin: float) -> None:
        self.begin = begin
        self.tally: dict[str, int] = {}
        self.answer = ""
        self.verdict = SILENT

    def add(self, failure: NotHealthy, *, cut_short: bool) -> None:
        """`cut_short`: it was ended by us, so it is no answer of the worker's where there is one."""
        self.count(failure.kind)
        if not self.answer or not cut_short:
            self.answer, self.verdict = failure.answer, failure.verdict

    def count(self, kind: str) -> None:
        """One more of this kind."""
        self.tally[kind] = self.tally.get(kind, 0) + 1

    def __str__(self) -> str:
        attempts = sum(self.tally.values())
        kinds = ", ".join(f"{kind} {count}" for kind, count in self.tally.items() if kind != _WELL)
        detail = f" ({kinds})" if kinds else ""
        return f"{time.monotonic() - self.begin:.2f} s, {attempts} attempt{'' if attempts == 1 else 's'}{detail}"


class Options:
    """The command line, read; spans in seconds. Exactly one of `port` and `socket` is set."""

    __slots__ = (
        "budget",
        "host",
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
        self.host = "127.0.0.1"
        self.port = 0
        self.socket = ""
        self.path = "/health"
        self.probe_timeout = 5.0
        self.budget = 55.0
        self.pid: int | None = None
        self.serving = ""  # the file to make; none: only ask
        self.routers = ""
        self.name = ""

    @property
    def url(self) -> str:
        """What is asked, as the journal shows it."""
        if self.type == "command":
            return f"command {shown(' '.join(self.run))}"
        if self.type == "tcp":
            return f"unix:{self.socket}" if self.socket else f"tcp://{self.host}:{self.port}"
        return f"unix:{self.socket}:{self.path}" if self.socket else f"http://{self.host}:{self.port}{self.path}"


def main(arguments: list[str]) -> int:
    """Wait until the worker is healthy; gives the exit status."""
    record = Record(_begin())
    try:
        options = parse(arguments)
    except UsageProblem as problem:
        return _fail(USAGE, f"usage: {problem}")
    _signal.signal(_SIGTERM, _terminate)
    try:
        is_healthy = _wait(options, record)
    except Exited:
        return _fail(EXITED, f"{options.url} not healthy: the worker's process exited after {record}")
    except Terminated:
        _fail(record.verdict, f"{options.url} not healthy, and told to end, after {record}; {_last(record)}")
        _signal.signal(_SIGTERM, _signal.SIG_DFL)
        os.kill(os.getpid(), _SIGTERM)
        return record.verdict  # not reached: the signal has ended this process
    _signal.signal(_SIGTERM, _signal.SIG_DFL)
    if not is_healthy:
        return _give_up(options, record)
    try:
        if options.serving:
            join.join(options.serving, options.routers, options.name)
    except OSError as error:
        text = f"{options.serving} can not be made: {error.strerror}; no request comes without it"
        return _fail(UNPLACED, text)
    _say("6", f"{options.url} healthy after {record}")
    return READY


def _terminate(*_: object) -> None:
    raise Terminated


def _give_up(options: Options, record: Record) -> int:
    """Where nothing listens, the worker may listen somewhere else, which explains it."""
    others = _elsewhere(options.pid) if record.verdict == SILENT and options.pid else ()
    verdict = ELSEWHERE if others else record.verdict
    elsewhere = f"; it listens on {', '.join(others)} instead" if others else ""
    return _fail(verdict, f"{options.url} not healthy after {record}{elsewhere}; {_last(record)}")


def _elsewhere(pid: int) -> tuple[str, ...]:
    if TYPE_CHECKING:
        from tqunits.alone import listening
    else:
        import listening  # only now: no healthy worker's start pays for it

    return listening.addresses(pid)


def _last(record: Record) -> str:
    return f"last answer: {record.answer or 'none'}"


def _fail(status: int, verdict: str) -> int:
    _say("3", verdict)
    return status


def _begin() -> float:
    """When this process was made, on the monotonic clock (proc_pid_stat(5): starttime, in ticks since boot)."""
    now = time.monotonic()
    try:
        with open("/proc/self/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123 - pathlib costs more
            ticks = int(file.read().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return now
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return now - min(max(age, 0.0), _LONGEST_AGE)


def parse(arguments: list[str]) -> Options:
    """Read the command line. Raises UsageProblem."""
    options = Options()
    words = iter(arguments)
    for word in words:
        option, equals, value = word.partition("=")
        _take(options, option, value if equals else next(words, ""))
    if bool(options.socket) == bool(options.port):
        raise UsageProblem("give one of --port, --url and --socket")
    if not options.path.startswith("/") or not options.path.isascii() or not options.path.isprintable():
        raise UsageProblem(f"--path {shown(options.path)}: not a path")
    if " " in options.path:
        raise UsageProblem(f"--path {options.path}: write a space as %20")
    if options.type not in _PROBES:
        raise UsageProblem(f"--type {shown(options.type)}: not one of {', '.join(_PROBES)}")
    if bool(options.run) != (options.type == "command"):
        raise UsageProblem("--run and --type command go together")
    if not options.host_field.isascii() or not options.host_field.isprintable() or " " in options.host_field:
        raise UsageProblem(f"--host-field {shown(options.host_field)}: no name of a host")
    return options


def shown(text: str, limit: int = _SHOWN) -> str:
    """A stranger's text, fit for the journal: short, on one line, without anything that a terminal obeys."""
    cut = text[:limit] + ("..." if len(text) > limit else "")
    return "".join(c if " " <= c <= "~" else f"\\x{ord(c):02x}" for c in cut)


def _take(options: Options, option: str, value: str) -> None:
    try:
        match option:
            case "--url":
                _take_url(options, value)
            case "--host":
                options.host = socket.inet_ntoa(socket.inet_aton(value))
            case "--port":
                options.port = _port(value)
            case "--probe-timeout":
                options.probe_timeout = _span(value)
            case "--budget":
                options.budget = _span(value)
            case "--type" | "--socket" | "--path" | "--serving" | "--routers" | "--name":
                setattr(options, option[2:], value)
            case "--pid":
                options.pid = int(value or 0)  # systemd drops an unset $MAINPID: there is no process any more
            case _:
                _take_question(options, option, value)
    except (ValueError, OSError):
        raise UsageProblem(f"{option} {shown(value)}: not valid") from None


def _take_question(options: Options, option: str, value: str) -> None:
    """What is asked for, where it is not the usual."""
    match option:
        case "--host-field":
            options.host_field = value
        case "--status":
            options.status = [_codes(each) for each in value.split(",")]
        case "--run":
            options.run.append(value)
        case _:
            raise UsageProblem(f"{shown(option)}: no such option")


def _take_url(options: Options, url: str) -> None:
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    host, _, port = authority.partition(":")
    if scheme != "http":
        raise ValueError(url)
    options.host, options.port = socket.inet_ntoa(socket.inet_aton(host)), _port(port)
    options.path = slash + path if slash else options.path


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


def _wait(options: Options, record: Record) -> bool:
    """Probe until the worker is healthy, or the budget is spent. Raises Exited, Terminated."""
    process = _watch(options.pid)
    deadline = record.begin + options.budget
    answers = _FIRST_PAUSE_OF_ANSWERS
    while True:
        now = time.monotonic()
        until = max(deadline, now + _FIRST_CHANCE) if not record.tally else deadline
        try:
            _PROBES[options.type](options, process, min(until, now + options.probe_timeout))
        except NotHealthy as failure:
            after = time.monotonic()
            record.add(failure, cut_short=now + options.probe_timeout > until <= after)
            left = deadline - after
            if left <= _LAST_CHANCE:
                return False
            if failure.verdict == SILENT:
                pause = min(max(_SHARE * (after - record.begin), _FIRST_PAUSE), _LONGEST_PAUSE)
            else:
                pause, answers = answers, min(answers * _GROWTH, _LONGEST_PAUSE_OF_ANSWERS)
        else:
            record.count(_WELL)
            return True
        _sleep_watching(process, min(pause, left - _LAST_CHANCE))


def _watch(pid: int | None) -> int:
    """A pidfd that gets readable when the process ends, or -1 where there is none to be had. Raises Exited."""
    if pid is None:
        return -1
    if pid <= 0:
        raise Exited
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise Exited from None
    except OSError:  # an old kernel or a seccomp filter: the budget still ends the wait
        return -1


def _sleep_watching(process: int, seconds: float) -> None:
    poll = select.poll()
    if process >= 0:
        poll.register(process, select.POLLIN)
    if poll.poll(seconds * 1000):
        raise Exited


def _probe_http(options: Options, process: int, deadline: float) -> None:
    """One connection, one request, one status line. Raises NotHealthy or Exited."""
    with _Connection(options, process, deadline) as connection:
        answer = connection.ask(options)
        code = status(answer)
        reason = shown(answer.decode("latin-1").strip().partition(" ")[2])
        if not any(first <= code <= last for first, last in options.status):
            body = connection.body()
            raise NotHealthy(f"status {code}", f"{reason}: {body}" if body else reason)
        user = connection.owner()  # while it stands: a closed one has none
        connection.finish()
    _check_owner(user, reason)


def _probe_tcp(options: Options, process: int, deadline: float) -> None:
    """One connection. Raises NotHealthy or Exited."""
    with _Connection(options, process, deadline) as connection:
        connection.reach()
        user = connection.owner()
    _check_owner(user, "a connection")


def _probe_command(options: Options, process: int, deadline: float) -> None:
    """One run of the command. Raises NotHealthy or Exited."""
    if TYPE_CHECKING:
        from tqunits.alone import commanded
    else:
        import commanded  # only now: whoever is asked by HTTP does not pay for it

    try:
        wrong, said = commanded.run(options.run, process, deadline)
    except commanded.Interrupted:
        raise Exited from None
    except commanded.NotEnded:
        raise NotHealthy("timed out", "not ended in time", SLOW) from None
    except OSError as error:
        text = (error.strerror or str(error)).lower()
        raise NotHealthy("not run", f"it can not be run: {text}") from None
    if wrong:
        text = shown(" ".join(said.split()), _BODY_SHOWN)
        raise NotHealthy(wrong, f"{wrong}: {text}" if text else wrong)


_PROBES = {"http": _probe_http, "tcp": _probe_tcp, "command": _probe_command}


def _check_owner(user: int | None, what: str) -> None:
    """Raises NotHealthy."""
    if user is not None and user != os.getuid():
        raise NotHealthy("foreign", f"{what}, but from a process of another user (uid {user})", FOREIGN)


def status(line: bytes) -> int:
    """The code of a status line (RFC 9112, section 4). Raises NotHealthy for what is none."""
    version, _, rest = line.partition(b" ")
    code, _, _ = rest.partition(b" ")
    if version in (b"HTTP/1.1", b"HTTP/1.0") and len(code) == 3 and code.isdigit():
        return int(code)
    if not line:
        raise NotHealthy("closed", "closed without an answer")
    raise NotHealthy("not HTTP", f"not HTTP: {shown(line.decode('latin-1'))}")


def excerpt(answer: bytes) -> str:
    """The beginning of an answer's body, on one line; without the first chunk's size (RFC 9112, section 7.1)."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head.lower():
        body = body.partition(b"\r\n")[2]
    text = " ".join(body[: _BODY_SHOWN + 1].decode("latin-1").split())
    return shown(text, _BODY_SHOWN)


class _Connection:
    """One probe's connection; every wait ends at `deadline`, or when the worker's process does."""

    def __init__(self, options: Options, process: int, deadline: float) -> None:
        self._process = process
        self._deadline = deadline
        self._read = b""
        self._socket = socket.socket(socket.AF_UNIX if options.socket else socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._target: str | tuple[str, int] = options.socket or (options.host, options.port)

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, options: Options) -> bytes:
        """Send the request; the first line of what comes back, at most _HEAD_LIMIT bytes."""
        host = options.host_field or ("localhost" if options.socket else f"{options.host}:{options.port}")
        request = f"GET {options.path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tqunits-gate\r\nAccept: */*\r\n"
        request += "Connection: close\r\n\r\n"
        try:
            self._connect()
            self._socket.send(request.encode())  # fits any socket buffer: no partial sends
            return self._first_line()
        except OSError as error:
            raise NotHealthy(*_reason(error)) from None

    def reach(self) -> None:
        """Connect. Raises NotHealthy."""
        try:
            self._connect()
        except OSError as error:
            raise NotHealthy(*_reason(error)) from None

    def owner(self) -> int | None:
        """The user who serves this connection, None if /proc does not tell."""
        if isinstance(self._target, tuple):
            return owner.of_connection(self._target, self._socket.getsockname())
        credentials = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)  # struct ucred, unix(7)
        uid = int.from_bytes(credentials[4:8], sys.byteorder)
        return None if uid == 0 else uid  # listen(2) was the service manager's: an inherited socket

    def body(self) -> str:
        """What stands at the beginning of a bad answer's body, as far as it comes soon."""
        self._deadline = min(self._deadline, time.monotonic() + _FAREWELL)
        try:
            while len(self._read.partition(b"\r\n\r\n")[2]) <= 2 * _BODY_SHOWN and len(self._read) < 2 * _HEAD_LIMIT:
                if not self._receive(_HEAD_LIMIT):
                    break
        except (NotHealthy, OSError):
            pass
        return excerpt(self._read)

    def finish(self) -> None:
        """Let the worker end its answer: to close before that resets the connection, which many log as an error."""
        self._deadline = min(self._deadline, time.monotonic() + _FAREWELL)
        left = _REST_LIMIT
        try:
            while left > 0:
                self._wait(select.POLLIN)
                more = self._socket.recv(left)
                if not more:
                    return
                left -= len(more)
        except (NotHealthy, OSError):
            return

    def _connect(self) -> None:
        code = self._socket.connect_ex(self._target)
        if code == errno.EINPROGRESS:
            self._wait(select.POLLOUT)
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))

    def _first_line(self) -> bytes:
        while b"\n" not in self._read and len(self._read) < _HEAD_LIMIT:
            if not self._receive(_HEAD_LIMIT - len(self._read)):
                break
        return self._read.partition(b"\n")[0].rstrip(b"\r")

    def _receive(self, count: int) -> bool:
        """Whether there was more."""
        self._wait(select.POLLIN)
        more = self._socket.recv(count)
        self._read += more
        return bool(more)

    def _wait(self, events: int) -> None:
        poll = select.poll()
        poll.register(self._socket.fileno(), events)
        if self._process >= 0:
            poll.register(self._process, select.POLLIN)
        ready = poll.poll(max(0.0, self._deadline - time.monotonic()) * 1000)
        if any(descriptor == self._process for descriptor, _ in ready):
            raise Exited
        if not ready:
            raise NotHealthy("timed out", "none in time", SLOW)


def _reason(error: OSError) -> tuple[str, str, int]:
    text = (os.strerror(error.errno) if error.errno else str(error)).lower()
    return ("refused", text, SILENT) if error.errno in _GONE else (text, text, UNHEALTHY)


def _say(priority: str, text: str) -> None:
    """One line on stderr; the journal takes the priority from a prefix (sd-daemon(3)), a terminal would show it."""
    prefix = f"<{priority}>" if "JOURNAL_STREAM" in os.environ else ""
    sys.stderr.write(f"{prefix}tqunits-gate: {text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

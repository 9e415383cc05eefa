"""One health check of a worker: a request, a connection, or a run of its command.

An answer counts only from a process of our own user, because any user's program may listen on a
free port (proc(5), /proc/net/tcp). Inside PrivateUsers= the kernel shows other users as 65534,
which also differs from ours.
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
    from tqunits.alone import owner
    from tqunits.alone.question import HOST, ProbeOptions, shown
    from tqunits.alone.verdicts import FOREIGN, SILENT, SLOW, UNHEALTHY
else:  # with -I (isolated), the importing program has put this folder into sys.path (gate.py)
    import owner
    from question import HOST, ProbeOptions, shown
    from verdicts import FOREIGN, SILENT, SLOW, UNHEALTHY

_HEAD_LIMIT = 4096  # bytes; a status line is far shorter, and the rest of the head does not matter
_REST_LIMIT = 65536  # bytes of an answer: that of a health check is short
_FAREWELL = 0.1  # seconds for the rest of the answer, if the worker keeps the connection open
_BODY_SHOWN = 200  # bytes of the body of a bad answer, which usually names the error
_GONE = (errno.ECONNREFUSED, errno.ENOENT)


class Exited(Exception):
    """The worker's process has ended."""


class NotHealthy(Exception):
    """One probe has failed. `kind` is counted, `answer` is what the journal shows, `verdict` is the
    exit status if this is the last probe.
    """

    def __init__(self, kind: str, answer: str, verdict: int = UNHEALTHY) -> None:
        super().__init__(answer)
        self.kind = kind
        self.answer = answer
        self.verdict = verdict


def ask(options: ProbeOptions, process: int, deadline: float) -> None:
    """Probe once. `deadline`: on the monotonic clock. `process`: a pidfd whose end ends the probe,
    or -1.

    Raises NotHealthy for a bad answer, and Exited.
    """
    _PROBES[options.type](options, process, deadline)


def _probe_http(options: ProbeOptions, process: int, deadline: float) -> None:
    """One connection, one request, one status line. Raises NotHealthy or Exited."""
    with _Connection(options, process, deadline) as connection:
        answer = connection.ask(options)
        code = status(answer)
        reason = shown(answer.decode("latin-1").strip().partition(" ")[2])
        if not any(first <= code <= last for first, last in options.status):
            body = connection.body()
            raise NotHealthy(f"status {code}", f"{reason}: {body}" if body else reason)
        user = connection.owner()  # before it is closed: a closed connection has no owner
        connection.finish()
    _check_owner(user, reason)


def _probe_tcp(options: ProbeOptions, process: int, deadline: float) -> None:
    """One connection. Raises NotHealthy or Exited."""
    with _Connection(options, process, deadline) as connection:
        connection.reach()
        user = connection.owner()
    _check_owner(user, "a connection")


def _probe_command(options: ProbeOptions, process: int, deadline: float) -> None:
    """One run of the command. Raises NotHealthy or Exited."""
    if TYPE_CHECKING:
        from tqunits.alone import commanded
    else:
        import commanded  # only here, so that an HTTP check does not pay for it

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
    """Raises NotHealthy when it is another user."""
    if user is not None and user != os.getuid():
        raise NotHealthy("foreign", f"{what}, but from a process of another user (uid {user})", FOREIGN)


def status(line: bytes) -> int:
    """The code of a status line (RFC 9112, section 4). Raises NotHealthy for anything else."""
    version, _, rest = line.partition(b" ")
    code, _, _ = rest.partition(b" ")
    if version in (b"HTTP/1.1", b"HTTP/1.0") and len(code) == 3 and code.isdigit():
        return int(code)
    if not line:
        raise NotHealthy("closed", "closed without an answer")
    raise NotHealthy("not HTTP", f"not HTTP: {shown(line.decode('latin-1'))}")


def excerpt(answer: bytes) -> str:
    """The beginning of an answer's body, on one line, without the size of the first chunk (RFC
    9112, section 7.1)."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head.lower():
        body = body.partition(b"\r\n")[2]
    text = " ".join(body[: _BODY_SHOWN + 1].decode("latin-1").split())
    return shown(text, _BODY_SHOWN)


class _Connection:
    """The connection of one probe. Every wait ends at `deadline`, or when the worker's process
    ends."""

    def __init__(self, options: ProbeOptions, process: int, deadline: float) -> None:
        self._process = process
        self._deadline = deadline
        self._read = b""
        self._socket = socket.socket(socket.AF_UNIX if options.socket else socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._target: str | tuple[str, int] = options.socket or (HOST, options.port)

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, options: ProbeOptions) -> bytes:
        """Send the request. Returns the first line of the answer, at most _HEAD_LIMIT bytes."""
        host = options.host_field or ("localhost" if options.socket else f"{HOST}:{options.port}")
        request = f"GET {options.path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tqunits-gate\r\nAccept: */*\r\n"
        request += "Connection: close\r\n\r\n"
        try:
            self._connect()
            self._socket.send(request.encode())  # fits every socket buffer: never sent in part
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
        """The user who serves this connection; None if /proc does not tell."""
        if isinstance(self._target, tuple):
            return owner.of_connection(self._target, self._socket.getsockname())
        credentials = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)  # struct ucred, unix(7)
        uid = int.from_bytes(credentials[4:8], sys.byteorder)
        return None if uid == 0 else uid  # the service manager has called listen(2): an inherited socket

    def body(self) -> str:
        """The beginning of the body of a bad answer, as far as it comes soon."""
        self._deadline = min(self._deadline, time.monotonic() + _FAREWELL)
        try:
            while len(self._read.partition(b"\r\n\r\n")[2]) <= 2 * _BODY_SHOWN and len(self._read) < 2 * _HEAD_LIMIT:
                if not self._receive(_HEAD_LIMIT):
                    break
        except (NotHealthy, OSError):
            pass
        return excerpt(self._read)

    def finish(self) -> None:
        """Let the worker finish its answer: closing earlier would reset the connection, which many
        programs log as an error."""
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
        """Returns whether there was more."""
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

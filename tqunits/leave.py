"""A worker leaves the router before it is stopped: ExecStop= of every worker (systemd.service(5)).

    /usr/bin/python3 -I -S leave.py --runtime /run/tqunits --name api --wait SECONDS

Tells every router process to send no new request to the worker, and waits until what runs there has ended, or until
the time is over; then systemd sends SIGTERM. So `systemctl restart` loses no request, whatever the worker does with
SIGTERM: requests that come meanwhile wait in the router. The file DIR/draining/NAME keeps it so until the worker is
healthy again, when ExecStartPost= removes it.

Runs as root (`+`), outside the worker's sandbox, with nothing but our own words on its command line. It always exits 0:
a router that does not answer is no reason not to stop. Imports as little as gate.py, for the same reason.
"""

from __future__ import annotations

import _socket as socket
import os
import select
import sys
import time

_MAX_ANSWER = 64 * 1024
_LONGEST_WAIT = 1_000_000.0  # "infinity" too: poll(2) takes no more than 24 days
_GRACE = 0.3  # seconds for the answer of a router that has waited for all the time there was


class Asked:
    """One router process, asked to drain the worker; answers when it is drained."""

    def __init__(self, path: str, request: bytes) -> None:
        """Raises OSError: nobody listens there."""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(1.0)  # an answer takes as long as it takes, but to be asked does not
        self.answer = b""
        try:
            self.socket.connect(path)
            self.socket.send(request)  # fits any socket buffer: no partial sends
        except OSError:
            self.socket.close()
            raise

    def is_done(self) -> bool:
        """Take what has come; whether that was all."""
        try:
            data = self.socket.recv(_MAX_ANSWER)
        except OSError:
            data = b""
        self.answer += data
        return not data or len(self.answer) > _MAX_ANSWER


def main(arguments: list[str]) -> int:
    """Mark, tell, wait."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=False))
    os.umask(0o022)  # the unit's is the worker's; the router reads the folder as another user
    try:
        runtime, name = options["--runtime"], options["--name"]
        wait = min(float(options["--wait"]), _LONGEST_WAIT)
    except (KeyError, ValueError):
        _say("usage: --runtime DIR --name NAME --wait SECONDS")
        return 0
    _mark(f"{runtime}/draining", name)
    asked = _ask_all(f"{runtime}/proxy", name, wait)
    left = _wait(asked, wait)
    if left:
        _say(f"{left} router processes still have requests for {name} after {wait:g} s; they are cut off now")
    return 0


def _mark(folder: str, name: str) -> None:
    try:
        os.makedirs(folder, 0o755, exist_ok=True)  # noqa: PTH103 - pathlib costs more than all of this
        os.close(os.open(f"{folder}/{name}", os.O_CREAT | os.O_WRONLY, 0o644))
    except OSError as error:
        _say(f"{folder}/{name}: {error.strerror}")


def _ask_all(folder: str, name: str, wait: float) -> list[Asked]:
    body = b'{"worker": "%b", "wait_us": %d}' % (name.encode("ascii"), int(wait * 1e6))
    request = b"POST /drain HTTP/1.1\r\nHost: router\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    try:
        processes = sorted(os.listdir(folder))  # noqa: PTH208 - the same
    except OSError:
        return []  # no router runs
    asked = []
    for process in processes:
        try:
            asked.append(Asked(f"{folder}/{process}/control.sock", request))
        except OSError:
            continue  # it is not running, or on its way out: it takes nothing new
    return asked


def _wait(asked: list[Asked], seconds: float) -> int:
    """Until all have answered; gives how many have not."""
    deadline = time.monotonic() + seconds
    poll = select.poll()
    waiting = {one.socket.fileno(): one for one in asked}
    for descriptor in waiting:
        poll.register(descriptor, select.POLLIN)
    while waiting:
        ready = poll.poll(max(0.0, deadline + _GRACE - time.monotonic()) * 1000)
        if not ready:
            break
        for descriptor, _ in ready:
            if waiting[descriptor].is_done():
                poll.unregister(descriptor)
                del waiting[descriptor]
    answers = (one.answer for one in asked)
    return len(waiting) + sum(b'"in_flight": ' in answer and b'"in_flight": 0' not in answer for answer in answers)


def _say(text: str) -> None:
    prefix = "<4>" if "JOURNAL_STREAM" in os.environ else ""
    sys.stderr.write(f"{prefix}tqunits-leave: {text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

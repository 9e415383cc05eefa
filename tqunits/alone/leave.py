"""Takes a worker out of the routers before it is stopped: ExecStop= of every worker
(systemd.service(5)).

    /usr/bin/python3 -I -S leave.py --serving FILE --routers DIR --name api
        --wait SECONDS --pid $MAINPID

It renames the worker's file `serving` to `leaving`, so that the routers send no new requests to the
worker. Then it waits until the running requests have ended, or until the time is over; then systemd
sends SIGTERM. So `systemctl restart` loses no request, whatever the worker does on SIGTERM:
requests that come meanwhile wait in the routers until `serving` exists again. If a worker runs and
neither file exists, somebody has removed `serving`; tq-repair.service makes it again.

It takes the instance's link `.begun` away as well, by which a start would be one after a failure.

It runs as the worker's own user in its sandbox. After a worker has ended by itself there is no
$MAINPID, and nothing to wait for. The program always exits 0: a router that does not answer must
not prevent the stop.
"""

from __future__ import annotations

import errno
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tqunits.alone import routers
else:  # with -I (isolated), Python does not look for modules beside the program
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib costs more
    import routers

_BEGUN = ".begun"
"""What systemd makes in the worker's CacheDirectory= at each start; api:2 has `.begun-2`."""

_LONGEST_WAIT = 1_000_000.0  # "infinity" too: poll(2) takes no more than 24 days


def main(arguments: list[str]) -> int:
    """Tell the routers, and wait for the running requests."""
    options = dict(zip(arguments[::2], [*arguments[1::2], ""], strict=False))
    try:
        serving, folder, name = options["--serving"], options["--routers"], options["--name"]
        wait = min(float(options["--wait"]), _LONGEST_WAIT)
        pid = int(options.get("--pid") or 0)  # systemd drops an unset $MAINPID
    except (KeyError, ValueError):
        _say("usage: --serving FILE --routers DIR --name NAME --wait SECONDS --pid PID")
        return 0
    _leave(serving)
    process = _watch(pid)
    if process is not None:
        _was_asked(name)
        left = routers.wait(folder, name, wait, process)
        if left:
            _say(f"{left} router processes still have requests for {name} after {wait:g} s; they are cut off now")
    return 0


def _leave(serving: str) -> None:
    leaving = f"{os.path.dirname(serving)}/leaving"  # noqa: PTH120 - pathlib costs more than all of this
    try:
        try:
            os.rename(serving, leaving)  # noqa: PTH104
        except FileNotFoundError:  # without the file: otherwise it might be made again during the wait
            os.close(os.open(leaving, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644))
    except FileNotFoundError:
        pass  # there is no folder either
    except OSError as error:
        _say(f"{serving}: {error.strerror}")


def _was_asked(name: str) -> None:
    """Who is stopped has not failed, and waits for nothing when it is started
    (alone/backoff.py)."""
    number = name.partition(":")[2]
    link = f"{_BEGUN}-{number}" if number else _BEGUN
    try:
        os.unlink(f"{os.environ.get('CACHE_DIRECTORY', '').partition(':')[0]}/{link}")  # noqa: PTH108 - ours is first
    except OSError as error:
        if error.errno != errno.ENOENT:
            _say(f"{link} is left: {error.strerror}; the next start takes a moment longer")


def _watch(pid: int) -> int | None:
    """A pidfd that becomes readable when the process ends; -1 when there is none; None: the process
    has ended."""
    if not pid:
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    except OSError:  # an old kernel or a seccomp filter: the time still ends the wait
        return -1


def _say(text: str) -> None:
    prefix = "<4>" if "JOURNAL_STREAM" in os.environ else ""
    sys.stderr.write(f"{prefix}tqunits-leave: {text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Tells the routers that a worker takes requests: ExecStartPost= of a worker that sends READY=1
itself (type: notify).

    /usr/bin/python3 -I -S join.py FILE DIR NAME

It makes the worker's file `serving`, in the worker's own RuntimeDirectory=, and makes every router
process below DIR look at it. While the file exists, the routers send requests. Its content is the
ID of the release that the worker runs, where it runs one. When the worker has ended, systemd
removes the file with its folder. For all other workers the gate does the same after the health
check has passed."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tqunits.alone import routers
    from tqunits.alone.verdicts import UNPLACED
else:  # with -I (isolated), Python does not look for modules beside the program
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib costs more
    import routers
    from verdicts import UNPLACED

_MARK = ".tqunits-release"
_MARK_SIZE = 13  # twelve hexadecimal digits and a newline


def join(serving: str, folder: str, name: str) -> None:
    """Make the file and tell the routers. Raises OSError when the file can not be made."""
    leaving = f"{os.path.dirname(serving)}/leaving"  # noqa: PTH120 - pathlib costs more than all of this
    if os.path.lexists(leaving):  # left by a stop that did not remove its folder
        os.unlink(leaving)  # noqa: PTH108
    made = os.open(serving, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        release = _release()
        if release:
            os.fchmod(made, 0o644)  # our umask lets nobody else read
            os.write(made, release)
    finally:
        os.close(made)
    routers.tell(folder, name)


def _release() -> bytes:
    """What the release in this folder is called; b"" for a worker that runs from its own folder."""
    try:
        mark = os.open(_MARK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(mark, _MARK_SIZE)
    except OSError:
        return b""
    finally:
        os.close(mark)


def main(arguments: list[str]) -> int:
    """Returns the exit status: as in the gate, UNPLACED when the file can not be made, because then
    no request would ever come."""
    try:
        serving, folder, name = arguments
        join(serving, folder, name)
    except ValueError:
        sys.stderr.write("tqunits-join: usage: FILE DIR NAME\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"tqunits-join: {error.filename}: {error.strerror}\n")
        return UNPLACED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

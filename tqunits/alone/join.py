"""A worker joins the routers: ExecStartPost= of a worker that says READY=1 itself (type: notify).

    /usr/bin/python3 -I -S join.py FILE DIR NAME

Makes the worker's file `serving`, in its own RuntimeDirectory=, and has every router process below
DIR look at it. While the file is there, the routers send requests; systemd takes it away with its
folder when the worker has ended. The gate does the same for all other workers, when their health
check has answered.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tqunits.alone import routers
    from tqunits.alone.verdicts import UNPLACED
else:  # isolated (-I), Python looks for nothing beside the program
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib costs more
    import routers
    from verdicts import UNPLACED


def join(serving: str, folder: str, name: str) -> None:
    """Take requests from now on. Raises OSError: the file can not be made."""
    leaving = f"{os.path.dirname(serving)}/leaving"  # noqa: PTH120 - pathlib costs more than all of this
    if os.path.lexists(leaving):  # of a stop that left its folder behind
        os.unlink(leaving)  # noqa: PTH108
    os.close(os.open(serving, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644))
    routers.tell(folder, name)


def main(arguments: list[str]) -> int:
    """The exit status: UNPLACED, as the gate has it, where the file can not be made, for no request
    would ever come."""
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

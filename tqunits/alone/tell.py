"""Sends a signal to the worker's main process: ExecReload= of a worker that can be reloaded
(systemd.service(5)).

    /usr/bin/python3 -I -S tell.py SIGNUM $MAINPID

It runs as the worker's user in its sandbox, so it can signal no other user's process. kill(1) would
do the same, but its package is missing on small systems.
"""

from __future__ import annotations

import os
import sys


def main(arguments: list[str]) -> int:
    """Returns the exit status; 1: there is no such process."""
    try:
        number, pid = map(int, arguments)
    except ValueError:
        sys.stderr.write("tqunits-tell: usage: SIGNUM PID\n")
        return 2
    try:
        os.kill(pid, number)
    except OSError as error:
        sys.stderr.write(f"tqunits-tell: process {pid}: {error.strerror}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

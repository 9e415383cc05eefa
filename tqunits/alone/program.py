"""Executes the program that launch.py and workspace.py were started for."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # the built-in part: the rest loads enum, which costs as much as all of a launcher

NOT_EXECUTED = 203
"""systemd's own exit status for a program that can not be executed (systemd.exec(5), "PROCESS EXIT
CODES")."""


class NotExecuted(Exception):
    """The program can not be executed. `status` is the exit status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def become(program: list[str], environment: dict[str, str]) -> None:
    """Replace this process by the program. Raises NotExecuted.

    Python ignores SIGXFSZ. The program would inherit that, so the signal gets its default action
    again. SIGPIPE stays ignored, as systemd has it.
    """
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execvpe(program[0], program, environment)  # noqa: S606 - this is what it is for
    except OSError as error:
        raise NotExecuted(NOT_EXECUTED, f"{program[0]} can not be executed: {error.strerror}") from None
    except ValueError as error:
        raise NotExecuted(NOT_EXECUTED, f"{program[0]} can not be executed: {error}") from None

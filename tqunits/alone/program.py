"""How a program of ours becomes the one that it was started for: what launch.py and workspace.py
end with."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # the built-in part: the rest loads enum, which costs as much as all of a launcher

NOT_EXECUTED = 203
"""systemd's own exit status for it (systemd.exec(5), "PROCESS EXIT CODES")."""


class NotExecuted(Exception):
    """The program is not executed; `status` is what to exit with."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def become(program: list[str], environment: dict[str, str]) -> None:
    """Raises NotExecuted.

    Python ignores SIGXFSZ, and what is ignored stays so in the program; SIGPIPE systemd ignores.
    """
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execvpe(program[0], program, environment)  # noqa: S606 - this is what it is for
    except OSError as error:
        raise NotExecuted(NOT_EXECUTED, f"{program[0]} can not be executed: {error.strerror}") from None
    except ValueError as error:
        raise NotExecuted(NOT_EXECUTED, f"{program[0]} can not be executed: {error}") from None

"""What a transport asks of those above it, whom it does not know."""

from __future__ import annotations

from mypy_extensions import trait


@trait
class Mover:
    """Whose bytes are moved."""

    def write_out(self, data: bytes) -> bool:
        """Send to the client; False when it is gone, and with it what was moved for it."""
        raise AssertionError

    def sent(self, size: int) -> None:
        """So many bytes are out."""
        raise AssertionError

    def moved(self) -> None:
        """Something moved: nobody is given up on that makes progress."""
        raise AssertionError

    def file_sent(self) -> None:
        """The rest of a file is out."""
        raise AssertionError

    def cut(self, reason: str) -> None:
        """It can not be finished."""
        raise AssertionError

    def abort(self) -> None:
        """The client is gone."""
        raise AssertionError

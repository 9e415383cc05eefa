"""The interface that transport/ expects of exchanges, which it does not import."""

from __future__ import annotations

from mypy_extensions import trait


@trait
class Mover:
    """The exchange whose bytes are moved."""

    def write_out(self, data: bytes) -> bool:
        """Send to the client; False when it is gone."""
        raise AssertionError

    def sent(self, size: int) -> None:
        """So many bytes are sent."""
        raise AssertionError

    def moved(self) -> None:
        """Something moved: start the deadline again."""
        raise AssertionError

    def file_sent(self) -> None:
        """The rest of a file is sent."""
        raise AssertionError

    def cut(self, reason: str) -> None:
        """The response can not be completed."""
        raise AssertionError

    def abort(self) -> None:
        """The client is gone."""
        raise AssertionError

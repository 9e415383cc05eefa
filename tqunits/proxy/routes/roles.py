"""The interface that routes/ expects of client connections, which it does not import."""

from __future__ import annotations

from mypy_extensions import trait


@trait
class Guest:
    """A connection of a client, in any state."""

    def drain(self) -> None:
        """The router stops, or needs the room: serve what has come, and then close."""
        raise AssertionError

    def abort(self) -> None:
        """End it now."""
        raise AssertionError

    def close_regularly(self) -> None:
        """Close it only if no answer would be cut."""
        self.abort()

    def is_tunnel(self) -> bool:
        """Whether it is an open tunnel."""
        return False

    def is_asleep(self) -> bool:
        """Whether it keeps nothing but its socket."""
        return False

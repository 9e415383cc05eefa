"""What the routes' room asks of those above it, whom it does not know."""

from __future__ import annotations

from mypy_extensions import trait


@trait
class Guest:
    """Who has a connection of a client here, in whatever state it is."""

    def drain(self) -> None:
        """The router stops, or somebody needs the room: serve what has come, then no more."""
        raise AssertionError

    def abort(self) -> None:
        """End it now."""
        raise AssertionError

    def close_regularly(self) -> None:
        """End it where no answer is cut by it."""
        self.abort()

    def is_tunnel(self) -> bool:
        """Whether it has become a tunnel, and stands."""
        return False

    def is_asleep(self) -> bool:
        """Whether nothing is kept of it but its socket."""
        return False

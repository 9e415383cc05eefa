"""One D-Bus connection to the service manager: opening, errors as sentences, conversion of values.

The only module that imports pystemd. Facts that shape it (tried with pystemd 0.11 to 0.15 on
systemd 252 and 257):

- match_signal keeps a borrowed pointer to its callback and takes plain functions only; an exception
  in a callback comes out as SystemError. So a connection keeps its callbacks as long as it exists.
- Closing a connection twice aborts the interpreter. A failing call leaks a kilobyte.
- The GIL is held during a whole call: threads do not help, and the router must not import this
  module.
- pystemd's introspection (`Unit.load`) costs 3 ms, one property 0.08 ms, all properties of a
  service 1.2 ms.

pystemd's dbuslib takes and gives bytes, lists and tuples. Arguments are a flat list of (type,
value), where a container is opened by its type and contents' signature, and closed by END: ("a",
"s") ("s", "x") END is the array ["x"]. Answers are decoded to str, int, bool, float, tuple and
dict.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from pystemd.dbusexc import (  # noqa: TID251 - this is its door
    DBusAccessDeniedError,
    DBusBaseError,
    DBusInteractiveAuthorizationRequiredError,
    DBusNoReplyError,
    DBusNoSuchUnitError,
    DBusTimedOutError,
    DBusTimeoutError,
)
from pystemd.dbuslib import DBus, DBusAddress, path_encode  # noqa: TID251 - this is its door

from tqunits.errors import NotPermitted, TimedOut, TqunitsError

SYSTEMD = b"/org/freedesktop/systemd1"
"""The object path of the manager itself."""

MANAGER = b"org.freedesktop.systemd1.Manager"
"""Its interface."""

_SERVICE = b"org.freedesktop.systemd1"
_PATIENCE_S = "90"  # as systemctl for a daemon-reload, which takes longer with slow generators than sd-bus's 25 s
_DISCONNECTED = {-errno.ENOTCONN, -errno.ECONNRESET, -errno.EPIPE}

Argument = tuple[int, object]

END: Argument = (-1, None)

Receive = Callable[[object], None]
"""Receives the decoded body of a signal. It must not raise: libsystemd calls it."""


class Refused(TqunitsError):
    """systemd refused the request for this unit."""


class NotLoaded(Refused):
    """The unit is not loaded."""


class _Message(Protocol):
    """What pystemd passes to a callback, and returns for each turn of `process`."""

    body: object

    def process_reply(self, with_headers: bool, /) -> None: ...  # noqa: FBT001 - pystemd's signature

    def get_path(self) -> bytes: ...


class Connection:
    """Calls and signals on one connection. After a restart of the bus a call connects again, once.
    Raises TqunitsError when there is no bus."""

    def __init__(self, *, user_mode: bool) -> None:
        self._user_mode = user_mode
        self._heard: list[tuple[bytes | None, bytes, bytes, Callable[..., None]]] = []
        self._is_closed = False
        self._bus, self._is_private = _open(user_mode=user_mode)

    def close(self) -> None:
        """Close it; a second call does nothing."""
        if not self._is_closed:
            self._is_closed = True
            self._bus.close()

    def reopen(self) -> None:
        """Connect again, and receive the same signals. Raises TqunitsError; then nothing has
        changed."""
        gone = self._bus
        self._bus, self._is_private = _open(user_mode=self._user_mode)  # if it raises, `close` still finds one
        gone.close()
        for path, interface, member, callback in self._heard:
            self._match(path, interface, member, callback)

    def call(self, path: bytes, interface: bytes, method: bytes, arguments: Sequence[Argument], *, what: str) -> object:
        """Call a method; returns the decoded answer. `what` completes "systemd did not ..."."""
        try:
            return decoded(self._bus.call_method(_SERVICE, path, interface, method, list(arguments)).body)
        except DBusBaseError as error:
            if error.errno not in _DISCONNECTED:
                raise _translated(error, what) from None
        self.reopen()
        try:
            return decoded(self._bus.call_method(_SERVICE, path, interface, method, list(arguments)).body)
        except DBusBaseError as error:
            raise _translated(error, what) from None

    def property(self, path: bytes, interface: bytes, name: str, signature: str) -> object:
        """Read a property; returns the decoded value."""
        try:
            return decoded(self._bus.get_property(_SERVICE, path, interface, name.encode(), signature.encode()))
        except DBusBaseError as error:
            raise _translated(error, f"tell {name}") from None

    def hear(self, path: bytes, interface: bytes, member: bytes, receive: Receive) -> None:
        """Call `receive` for each signal of this kind, during `dispatch`."""

        def on_signal(message: _Message, error: object = None, userdata: object = None) -> None:
            message.process_reply(False)
            receive(decoded(message.body))

        self._match(path, interface, member, on_signal)
        self._heard.append((path, interface, member, on_signal))

    def hear_of_any(self, interface: bytes, member: bytes, receive: Callable[[bytes], None]) -> None:
        """Call `receive` with the path of each object that sends this signal, during `dispatch`.
        The bodies are not decoded."""

        def on_signal(message: _Message, error: object = None, userdata: object = None) -> None:
            receive(message.get_path())

        self._match(None, interface, member, on_signal)
        self._heard.append((None, interface, member, on_signal))

    def descriptor(self) -> int:
        """The descriptor that poll(2) reports as readable when a message has come; negative after
        the bus has gone."""
        return int(self._bus.get_fd())

    def dispatch(self) -> bool:
        """Deliver everything that has come, without waiting for more. False when the connection is
        gone.

        libsystemd delivers one message for each call. pystemd returns it, or one without a body
        when there was none; every message that a bus or systemd sends by itself has a body. A
        connection that has ended is closed in the next call.
        """
        try:
            while not self._bus.process().is_empty():
                pass
        except DBusBaseError:
            return False
        return self.descriptor() >= 0

    def _match(self, path: bytes | None, interface: bytes, member: bytes, callback: Callable[..., None]) -> None:
        sender = None if self._is_private else _SERVICE
        try:
            self._bus.match_signal(sender, path, interface, member, callback)
        except DBusBaseError as error:
            raise _translated(error, f"tell {member.decode()}") from None


def _open(*, user_mode: bool) -> tuple[DBus, bool]:
    """Connect to the bus; if there is none (early boot, a minimal image), to systemd's own private
    socket.

    Returns the connection, and whether it is the private one. Raises TqunitsError.
    """
    os.environ.setdefault("SYSTEMD_BUS_TIMEOUT", _PATIENCE_S)
    bus = DBus(user_mode=user_mode)
    try:
        bus.open()
    except DBusBaseError as error:
        private = _open_private(user_mode=user_mode)
        if private is None:
            raise _unreachable(error, user_mode=user_mode) from None
        return private, True
    return bus, False


def _open_private(*, user_mode: bool) -> DBus | None:
    """systemd's private socket, which only the manager's own user may open; None when that fails,
    too."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}") if user_mode else "/run"
    bus = DBusAddress(f"unix:path={runtime}/systemd/private".encode(), peer_to_peer=True)
    try:
        bus.open()
    except DBusBaseError:
        return None
    return bus


def _unreachable(error: DBusBaseError, *, user_mode: bool) -> TqunitsError:
    if user_mode:
        hint = "log in as this user (loginctl enable-linger makes it permanent); sudo and su give no session"
        return TqunitsError("your own service manager can not be reached over D-Bus", hint=hint)
    if error.errno in {-errno.EACCES, -errno.EPERM}:
        return NotPermitted("the system bus does not let you in", hint="run it with sudo")
    hint = "it needs systemd as the init of this host, and dbus"
    return TqunitsError("the service manager can not be reached over D-Bus", hint=hint)


def _translated(error: DBusBaseError, what: str) -> TqunitsError:
    """One of pystemd's errors as a sentence: `what` completes "systemd did not ..."."""
    text = error.err_message
    message = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    match error:
        case DBusAccessDeniedError() | DBusInteractiveAuthorizationRequiredError():
            return NotPermitted(f"you are not permitted to {what}", hint="run it with sudo, or with --user")
        case DBusNoSuchUnitError():
            return NotLoaded(message or f"systemd can not {what}: no such unit")
        case DBusTimeoutError() | DBusTimedOutError() | DBusNoReplyError():
            return TimedOut(f"systemd did not {what} in time")
    if error.errno in {-errno.ETIMEDOUT, -errno.ETIME}:
        return TimedOut(f"systemd did not {what} in time")
    return Refused(f"systemd did not {what}: {message.rstrip('.') or os.strerror(abs(error.errno))}")


def object_path(unit: str) -> bytes:
    """The unit's object path."""
    return bytes(path_encode(b"/org/freedesktop/systemd1/unit", unit.encode()))


def string(text: str) -> Argument:
    """One string."""
    return (ord("s"), text.encode("utf-8", "surrogateescape"))


def strings(texts: Iterable[str]) -> list[Argument]:
    """An array of strings."""
    return [(ord("a"), b"s"), *(string(text) for text in texts), END]


def boolean(*, value: bool) -> Argument:
    """One boolean."""
    return (ord("b"), value)


def number(value: int) -> Argument:
    """One signed 32-bit number."""
    return (ord("i"), value)


def assignments(values: Mapping[str, int]) -> list[Argument]:
    """The argument of SetUnitProperties (a(sv)) with 64-bit numbers only, which all limits of a
    cgroup are."""
    arguments: list[Argument] = [(ord("a"), b"(sv)")]
    for name, value in values.items():
        arguments += [(ord("r"), b"sv"), string(name), (ord("v"), b"t"), (ord("t"), value), END, END]
    return [*arguments, END]


def decoded(value: object) -> object:
    """The answer with text instead of bytes, and tuples instead of lists."""
    match value:
        case bytes():
            return value.decode("utf-8", "surrogateescape")
        case list() | tuple():
            return tuple(decoded(each) for each in value)
        case dict():
            return {decoded(key): decoded(each) for key, each in value.items()}
        case _:
            return value


def rows(answer: object) -> tuple[object, ...]:
    """The members of a decoded array or struct; empty for anything else."""
    return answer if isinstance(answer, tuple) else ()


def mapping(answer: object) -> Mapping[object, object]:
    """A decoded dictionary; pystemd returns an empty one as an empty list."""
    return answer if isinstance(answer, dict) else {}


def integer(answer: object) -> int:
    """A decoded number."""
    assert isinstance(answer, int)
    return answer

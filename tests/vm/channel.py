"""The host's end of the control channel: sends requests; answers come in any order."""

import itertools
import socket
import time
from collections.abc import Mapping

from machine import MachineError

from .frames import Decoder, Frame, encode

SEND_SECONDS = 60.0  # a guest that reads nothing for so long hangs


class GuestGoneError(MachineError):
    """The guest has ended: no more answers come."""


class Channel:
    """Used by one thread at a time."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._decoder = Decoder()
        self._numbers = itertools.count(1)
        self._answers: dict[int, Frame] = {}
        self._boot: str | None = None

    def hello(self, timeout: float) -> str:
        """Wait for the agent; gives the boot id."""
        deadline = time.monotonic() + timeout
        while self._boot is None:
            self._receive(deadline)
        return self._boot

    def ask(self, head: Mapping[str, object], body: bytes = b"") -> int:
        """Send a request; gives its number."""
        number = next(self._numbers)
        try:
            self._end.settimeout(SEND_SECONDS)
            self._end.sendall(encode(Frame({**head, "number": number}, body)))
        except TimeoutError:
            raise MachineError(f"the guest has read nothing for {SEND_SECONDS:g} s") from None
        except OSError as error:
            raise GuestGoneError(f"the guest is gone: {error}") from None
        return number

    def answer(self, number: int, timeout: float) -> Frame:
        """Wait for the answer to a request. TimeoutError if it has not come in time; a second wait
        is possible."""
        deadline = time.monotonic() + timeout
        while number not in self._answers:
            self._receive(deadline)
        return self._answers.pop(number)

    def close(self) -> None:
        self._end.close()

    def _receive(self, deadline: float) -> None:
        self._end.settimeout(max(0.001, deadline - time.monotonic()))  # 0 would mean not to wait at all
        try:
            data = self._end.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            raise GuestGoneError("the guest is gone")
        for frame in self._decoder.feed(data):
            match frame.head:
                case {"hello": str(boot)}:
                    self._boot = boot
                case {"number": int(number)}:
                    self._answers[number] = frame

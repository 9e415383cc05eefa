"""Sends one health check to a running worker, as its gate does, to know whether it is healthy now.

The answer comes from the worker, so its size and its time are bounded. The caller escapes what it
shows of it.
"""

from __future__ import annotations

import re
import socket
import time

from tqunits.health import HealthType, Statuses, accepts
from tqunits.lifecycle.facts import Facts

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: ([^\n]*))?\r?(?:\n|\Z)")
_MOST = 16384
_BODY_SHOWN = 200


def answer(facts: Facts, *, patience: float) -> str:
    """What is wrong with the worker's answer now; "" for a healthy answer, and where only the gate
    can ask. `patience` is in seconds.

    A health command of the worker runs in its sandbox only, so only at its start.
    """
    address = facts.address
    if facts.health_type not in {HealthType.HTTP, HealthType.TCP}:
        return ""
    deadline = time.monotonic() + patience
    is_local = address.startswith("/")
    host, _, port = address.rpartition(":")
    try:
        with socket.socket(socket.AF_UNIX if is_local else socket.AF_INET) as peer:
            peer.settimeout(patience)
            peer.connect(address if is_local else (host, int(port)))
            if facts.health_type is HealthType.TCP:
                return ""
            name = facts.health_host or ("localhost" if is_local else address)
            request = f"GET {facts.health} HTTP/1.1\r\nHost: {name}\r\nUser-Agent: tqunits-why\r\nAccept: */*\r\n"
            peer.sendall(f"{request}Connection: close\r\n\r\n".encode())
            return _words(_read(peer, deadline, facts.accepted), facts.accepted)
    except PermissionError:
        return ""  # a socket that only its group may use: no answer
    except TimeoutError:
        return f"no answer within {patience:g} s"
    except OSError as error:
        return (error.strerror or str(error)).lower()


def _read(peer: socket.socket, deadline: float, accepted: tuple[Statuses, ...]) -> bytes:
    """The beginning of the answer: the status and enough of the body. The end is not waited for."""
    text = b""
    while len(text) < _MOST and len(text.partition(b"\r\n\r\n")[2]) < 2 * _BODY_SHOWN:
        if b"\n" in text and (match := _STATUS.match(text)) and accepts(accepted, int(match[1])):
            break
        left = deadline - time.monotonic()
        if left <= 0:
            break
        peer.settimeout(left)
        more = peer.recv(_MOST)
        if not more:
            break
        text += more
    if not text:
        raise TimeoutError if time.monotonic() >= deadline else ConnectionResetError(0, "closed without an answer")
    return text


def _words(text: bytes, accepted: tuple[Statuses, ...]) -> str:
    match = _STATUS.match(text)
    if match is None:
        line = text.partition(b"\n")[0][:_BODY_SHOWN]
        return f"not HTTP: {line.decode('latin-1').strip()}"
    if accepts(accepted, int(match[1])):
        return ""
    head, _, body = text.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head.lower():
        body = body.partition(b"\r\n")[2]
    shown = " ".join(body[:_BODY_SHOWN].decode("utf-8", "replace").split())
    status = b" ".join(part for part in match.groups() if part).decode("latin-1").strip()
    return f"{status}: {shown}" if shown else status

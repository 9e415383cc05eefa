"""Sends one health check to a running worker, as its gate does, to know whether it is healthy now.

lifecycle/check_answer.py has the request and what an answer means; manager/health_check.py sends
the same one on an event loop.
"""

from __future__ import annotations

import socket
import time

from tqunits.health import HealthType, Statuses
from tqunits.lifecycle import check_answer
from tqunits.lifecycle.facts import Facts


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
            name = facts.health_host or check_answer.host_of(address)
            peer.sendall(check_answer.request(facts.health, name, "tqunits-why"))
            return check_answer.wrong(_read(peer, deadline, facts.accepted), facts.accepted)
    except PermissionError:
        return ""  # a socket that only its group may use: no answer
    except TimeoutError:
        return f"no answer within {patience:g} s"
    except OSError as error:
        return (error.strerror or str(error)).lower()


def _read(peer: socket.socket, deadline: float, accepted: tuple[Statuses, ...]) -> bytes:
    """The beginning of the answer."""
    text = b""
    while not check_answer.is_enough(text, accepted):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        peer.settimeout(left)
        more = peer.recv(check_answer.MAX_ANSWER)
        if not more:
            break
        text += more
    if not text:
        raise TimeoutError if time.monotonic() >= deadline else ConnectionResetError(0, "closed without an answer")
    return text

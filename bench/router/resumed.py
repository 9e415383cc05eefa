"""The load of new TLS connections: each resumes the session of the one before it, asks once, and is
closed.

    python -m bench.router.resumed PORT PATH SECONDS

wrk resumes no session, so it would measure certificates. One connection at a time: what counts is
the proxy's CPU. The last line of the output is a report as wrk.lua writes one.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import time

PATIENCE = 10.0
"""Seconds until a connection counts as an error."""


def main(port: int, path: str, seconds: float) -> None:
    """Load, and report."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    request = f"GET {path} HTTP/1.1\r\nHost: bench.example\r\nConnection: close\r\n\r\n".encode()
    session: ssl.SSLSession | None = None
    spans: list[int] = []
    errors, anew = 0, 0
    begin = time.monotonic_ns()
    end = begin + int(seconds * 1e9)
    while (now := time.monotonic_ns()) < end:
        try:
            session, resumed = ask(context, port, request, session)
        except OSError:
            errors += 1
            continue
        anew += not resumed
        spans.append((time.monotonic_ns() - now) // 1000)
    if anew > 1:
        raise SystemExit(f"{anew} of {len(spans)} sessions were not resumed")
    spans.sort()
    report = {"requests": len(spans), "errors": errors, "duration_us": (time.monotonic_ns() - begin) // 1000}
    report |= {f"p{percent}_us": spans[len(spans) * percent // 100] if spans else 0 for percent in (50, 99)}
    print(json.dumps(report))


def ask(
    context: ssl.SSLContext, port: int, request: bytes, session: ssl.SSLSession | None
) -> tuple[ssl.SSLSession | None, bool]:
    """One connection; gives the session for the next, and whether this one was resumed. Raises
    OSError."""
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as sock,
        context.wrap_socket(sock, server_hostname="bench.example", session=session) as secured,
    ):
        secured.sendall(request)
        said = b""
        while piece := secured.recv(4096):
            said += piece
        if not said.startswith(b"HTTP/1.1 200 "):
            raise ConnectionError(said[:80])
        return secured.session, bool(secured.session_reused)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))

"""Sends requests without a pause until its standard input ends, from several threads: on kept
connections, and on new ones.

Prints the number of requests, and the failures. It runs in the booted host.

It is no failure if the other end closes a kept connection before it has accepted the request: a
client repeats the request on a new one (RFC 9112 §9.3.1). So does this one, once, and counts it.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
from collections import Counter

PORT = 8080
counts: Counter[str] = Counter()
failures: list[str] = []
over = threading.Event()


def main() -> None:
    """The paths are the arguments."""
    threads = [threading.Thread(target=kept, args=(path,)) for path in sys.argv[1:]]
    threads += [threading.Thread(target=anew, args=(path,)) for path in sys.argv[1:]]
    for thread in threads:
        thread.start()
    print("running", flush=True)
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
    print(json.dumps({"counts": counts, "failures": failures}))


def kept(path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
    uses = 0
    while not over.is_set():
        try:
            ask(connection, path, "kept")
            uses = 0 if connection.sock is None else uses + 1
        except (http.client.RemoteDisconnected, ConnectionError) as error:
            connection.close()
            if not uses:
                failures.append(f"{path}: on a new connection: {error!r}")
            counts["again"] += 1
            uses = 0
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{path}: {error!r}")
            connection.close()
    connection.close()


def anew(path: str) -> None:
    while not over.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
        try:
            ask(connection, path, "new")
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{path}: new: {error!r}")
        finally:
            connection.close()


def ask(connection: http.client.HTTPConnection, path: str, kind: str) -> None:
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    counts[kind] += 1
    if response.status != 200:
        failures.append(f"{path}: {response.status} {body[:200]!r}")


main()

"""A crowd of idle connections for bench/endurance, a process of its own since each may have only so
many.

    crowd.py PORT PATH COUNT SOURCE

COUNT connections from the address SOURCE, one request on each; then `standing` on stdout. Commands
on stdin: `leave N` closes N of them; `ask` sends a request on each that is left, and prints how
many got their answer.
"""

from __future__ import annotations

import socket
import sys

PATIENCE = 30.0


def main() -> None:
    """Connect, and obey."""
    port, path, count, source = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
    crowd = [socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0)) for _ in range(count)]
    print(f"standing {sum(is_served(one, path) for one in crowd)}", flush=True)
    for command in sys.stdin:
        match command.split():
            case ["leave", number]:
                for _ in range(int(number)):
                    crowd.pop().close()
                print("left", flush=True)
            case ["ask"]:
                print(f"served {sum(is_served(one, path) for one in crowd)}", flush=True)


def is_served(connection: socket.socket, path: str) -> bool:
    """Whether a request on it is answered as it should be."""
    try:
        connection.sendall(f"GET {path}/idle HTTP/1.1\r\nHost: crowd\r\nUser-Agent: Mozilla/5.0\r\n\r\n".encode())
        answer = connection.recv(4096)
    except OSError:
        return False
    return answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\nidle 0")


if __name__ == "__main__":
    main()

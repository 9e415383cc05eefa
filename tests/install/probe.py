"""A worker that misbehaves on request: the tests copy it into the machine and send it requests over
HTTP.

GET /health answers 200, unless the file `sick` is in its state folder. Every other path is an
action. The answer is JSON: 200 with the result, 403 with the error.

It is started a thousand times in a run of the tests, and an import of http.server would take four
fifths of that time. So each action imports the modules that it alone needs.
"""

import os
import signal
import socket
import sys
import threading

PHRASES = {200: "OK", 403: "Forbidden", 503: "Service Unavailable"}
STATE = os.environ["STATE_DIRECTORY"]


def allocate(mebibytes: str) -> str:
    hoard = bytearray(int(mebibytes) << 20)
    hoard[:: os.sysconf("SC_PAGE_SIZE")] = b"x" * len(hoard[:: os.sysconf("SC_PAGE_SIZE")])
    return f"{len(hoard)} bytes"


def fork(count: str) -> str:
    import subprocess

    children = []
    try:
        children += [subprocess.Popen(["sleep", "60"]) for _ in range(int(count))]
    finally:
        for child in children:
            child.kill()
    return "all"


def spin(seconds: str) -> float:
    """CPU seconds per second of wall time that busy threads of two processes get."""
    import subprocess
    import time

    until = time.monotonic() + float(seconds)
    started = time.monotonic()
    burner = f"import time\nend = time.monotonic() + {float(seconds)}\nwhile time.monotonic() < end: pass"
    children = [subprocess.Popen([sys.executable, "-c", burner]) for _ in range(2)]
    for child in children:
        child.wait()
    assert time.monotonic() >= until
    used = os.times()
    return (used.children_user + used.children_system) / (time.monotonic() - started)


def read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()[:100]


def write(path: str) -> str:
    with open(path, "w", encoding="utf-8") as file:
        file.write("written")
    return "written"


def become_root(_: str) -> int:
    os.setuid(0)
    return os.getuid()


def setuid_file(path: str) -> int:
    with open(path, "wb"):
        pass
    os.chmod(path, 0o4755)
    return os.stat(path).st_mode


def processes(_: str) -> list[str]:
    """The users of all processes that it can see."""
    pids = [p for p in os.listdir("/proc") if p.isdigit()]
    return sorted({str(os.stat(f"/proc/{p}").st_uid) for p in pids})


def namespace(_: str) -> str:
    import subprocess

    result = subprocess.run(["unshare", "--user", "true"], capture_output=True, text=True, check=False)
    if result.returncode:
        raise PermissionError(result.stderr.strip())
    return "made"


def signal_other(pid: str) -> str:
    os.kill(int(pid), signal.SIGTERM)
    return "sent"


def environment(_: str) -> dict[str, str]:
    return dict(os.environ)


def descriptors(_: str) -> int:
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


HARMLESS = (descriptors, environment, processes, read, spin, write)
HARMFUL = (allocate, become_root, fork, namespace, setuid_file, signal_other)
DEEDS = {deed.__name__: deed for deed in (*HARMLESS, *HARMFUL)}


def health() -> tuple[int, bytes]:
    sick = os.path.exists(f"{STATE}/sick")
    return (503, b'"sick"') if sick else (200, b'"ok"')


def do(target: str) -> tuple[int, bytes]:
    import json
    from urllib.parse import parse_qs, urlsplit

    url = urlsplit(target)
    try:
        argument = parse_qs(url.query).get("of", [""])[0]
        return 200, json.dumps(DEEDS[url.path.strip("/")](argument)).encode()
    except Exception as error:
        return 403, json.dumps(f"{type(error).__name__}: {error}").encode()


def converse(client: socket.socket) -> None:
    """One GET after the other, until the client ends."""
    received = b""
    while True:
        while b"\r\n\r\n" not in received:
            data = client.recv(65536)
            if not data:
                return client.close()
            received += data
        head, _, received = received.partition(b"\r\n\r\n")
        target = head.split(b" ")[1].decode()
        status, body = health() if target.partition("?")[0] == "/health" else do(target)
        last = b" HTTP/1.0\r\n" in head + b"\r\n" or b"\nconnection: close" in head.lower()
        length = f"HTTP/1.1 {status} {PHRASES[status]}\r\nContent-Length: {len(body)}\r\n"
        client.sendall(length.encode() + (b"Connection: close\r\n" if last else b"") + b"\r\n" + body)
        if last:
            return client.close()


def serve(server: socket.socket) -> None:
    while True:
        threading.Thread(target=converse, args=server.accept()[:1], daemon=True).start()


def main() -> None:
    path = os.environ.get("WORKER_SOCKET", "")
    server = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(path or ("127.0.0.1", int(os.environ["WORKER_PORT"])))
    server.listen()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    serve(server)


if __name__ == "__main__":
    main()

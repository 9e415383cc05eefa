"""A worker that misbehaves on request: the tests copy it into the machine and ask it over HTTP.

GET /health answers 200, unless the file `sick` stands in its state folder. Every other path is a deed; the answer is
JSON: 200 with what came of it, 403 with the error.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

STATE = Path(os.environ["STATE_DIRECTORY"])


def allocate(mebibytes: str) -> str:
    hoard = bytearray(int(mebibytes) << 20)
    hoard[:: os.sysconf("SC_PAGE_SIZE")] = b"x" * len(hoard[:: os.sysconf("SC_PAGE_SIZE")])
    return f"{len(hoard)} bytes"


def fork(count: str) -> str:
    children = []
    try:
        children += [subprocess.Popen(["sleep", "60"]) for _ in range(int(count))]
    finally:
        for child in children:
            child.kill()
    return "all"


def spin(seconds: str) -> float:
    """CPU seconds per second of wall time that busy threads of two processes get."""
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
    return Path(path).read_text(encoding="utf-8")[:100]


def write(path: str) -> str:
    Path(path).write_text("written", encoding="utf-8")
    return "written"


def become_root(_: str) -> int:
    os.setuid(0)
    return os.getuid()


def setuid_file(path: str) -> int:
    Path(path).write_bytes(b"")
    os.chmod(path, 0o4755)
    return os.stat(path).st_mode


def processes(_: str) -> list[str]:
    """The users of all processes that can be seen."""
    pids = [p for p in os.listdir("/proc") if p.isdigit()]
    return sorted({str(os.stat(f"/proc/{p}").st_uid) for p in pids})


def namespace(_: str) -> str:
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


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/health":
            sick = (STATE / "sick").exists()
            return self.answer(503 if sick else 200, "sick" if sick else "ok")
        try:
            argument = parse_qs(url.query).get("of", [""])[0]
            return self.answer(200, DEEDS[url.path.strip("/")](argument))
        except Exception as error:
            return self.answer(403, f"{type(error).__name__}: {error}")

    def answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is called there
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    if "WORKER_SOCKET" in os.environ:
        address_family = socket.AF_UNIX


def main() -> None:
    address = os.environ.get("WORKER_SOCKET") or ("127.0.0.1", int(os.environ["WORKER_PORT"]))
    server = Server(address, Handler)  # type: ignore[arg-type]
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()

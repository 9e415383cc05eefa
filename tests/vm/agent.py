"""The guest's end of the control channel: runs programs for the host. It is in the image together
with frames.py, which has the protocol: `python3 -m vm.agent PORT`.

Every request has a thread, so a long one does not hold up the others. A program that exceeds its
time is killed with its children.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from .frames import Decoder, Frame, encode

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
NOT_FOUND = 127  # sh(1)'s status for a program that can not be started


def perform(head: dict[str, Any], body: bytes) -> Frame:
    """Run the program of a request to its end."""
    status: int | None
    try:
        process = subprocess.Popen(
            head["argv"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=head["env"],
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        return _answer(head, NOT_FOUND, b"", f"{error}\n".encode())
    try:
        out, err = process.communicate(body, head["timeout"])
        status = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        status = None
    return _answer(head, status, out, err)


def _answer(head: dict[str, Any], status: int | None, out: bytes, err: bytes) -> Frame:
    return Frame({"number": head["number"], "status": status, "out": len(out)}, out + err)


def serve(port: int) -> None:
    """Serve until the other end has closed."""
    lock = threading.Lock()

    def send(frame: Frame) -> None:
        data = memoryview(encode(frame))
        with lock:
            while data:
                data = data[os.write(port, data) :]

    def answer(frame: Frame) -> None:
        send(perform(frame.head, frame.body))

    send(Frame({"hello": BOOT_ID.read_text(encoding="ascii").strip()}))
    decoder = Decoder()
    while received := os.read(port, 1 << 16):
        for frame in decoder.feed(received):
            threading.Thread(target=answer, args=(frame,), daemon=True).start()


if __name__ == "__main__":
    serve(os.open(sys.argv[1], os.O_RDWR))

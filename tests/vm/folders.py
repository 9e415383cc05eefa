"""Folders that a process of the tests holds locked: if a run leaves one behind, the next run
removes it."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / "build/vm"
RUN = "run-"


@contextmanager
def locked() -> Iterator[None]:
    """No other process makes or removes anything in the cache meanwhile."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def run_folder() -> Iterator[Path]:
    """A folder for the disks of a run."""
    with locked():
        _sweep()
        folder = Path(tempfile.mkdtemp(prefix=RUN, dir=CACHE))
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        os.close(descriptor)


def _sweep() -> None:
    for folder in CACHE.glob(f"{RUN}*"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)

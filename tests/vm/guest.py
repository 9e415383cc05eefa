"""The virtual machine for tests. `VirtualMachine.boot()` starts one, `with` ends it."""

import itertools
import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from machine import Host, MachineError
from machine.host import ENVIRONMENT, POLL_SECONDS, TAIL_LINES, Call, describe

from . import emulator
from .channel import Channel, GuestGoneError
from .frames import Frame
from .image import Image

BOOT_SECONDS = 300.0  # it takes 20 to 30 without KVM; a loaded processor takes longer, and a hang must still end
OFF_SECONDS = 120.0  # systemd gives a unit 90 to stop
LATE_SECONDS = 30.0  # for the answer that a program's time was over
PATIENCE = {"kvm": 1.0, "tcg": 4.0}  # factors for the tests' own time-outs
CONSOLE_BYTES = 4096  # at its end, for the report of a failed test

_numbers = itertools.count(1)


class VirtualMachine(Host):
    """One disk, and one boot after another."""

    tqunits_path = "/usr/bin/tqunits"

    def __init__(self, image: Image, folder: Path, backing: Path | None = None) -> None:
        self.image = image
        self._accelerator = emulator.accelerator(image.kernel)
        self._patience = PATIENCE[self._accelerator]
        name = f"disk-{next(_numbers)}"
        self.disk = folder / f"{name}.qcow2"
        self.boot_seconds = 0.0  # of the last boot, until the agent answered
        self._console = folder / f"{name}.console"
        emulator.overlay(backing or image.disk, self.disk)

    @classmethod
    def boot(cls, image: Image, folder: Path, backing: Path | None = None) -> Self:
        """A machine over an image, or over the disk of another machine, which is off and stays off.
        MachineError with the console's text if it does not boot."""
        machine = cls(image, folder, backing)
        machine.power_on()
        return machine

    @property
    def pid(self) -> int:
        """The process id of qemu."""
        return self._emulator.pid

    # Power

    def power_on(self) -> None:
        """Boot, and wait until the agent answers; systemd may still be starting other units."""
        began = time.monotonic()
        ours, theirs = socket.socketpair()
        with theirs:
            hardware = emulator.Hardware(
                image=self.image,
                disk=self.disk,
                console=self._console,
                channel=theirs.fileno(),
                accelerator=self._accelerator,
            )
            self._emulator = emulator.start(hardware)
        self._channel = Channel(ours)
        try:
            self._channel.hello(BOOT_SECONDS)
        except (MachineError, TimeoutError) as error:
            self.stop()
            raise MachineError(f"the machine did not boot: {error}\n{self.console_tail()}") from None
        self.boot_seconds = time.monotonic() - began

    def await_boot(self) -> str:
        """Wait until systemd has started all units of the boot, including the workers: `running`,
        or `degraded` if a unit has failed."""
        return self.run(["systemctl", "is-system-running", "--wait"], check=False, timeout=BOOT_SECONDS).stdout.strip()

    def reboot(self) -> None:
        """An orderly reboot."""
        self._end("reboot")
        self.power_on()

    def power_off(self) -> None:
        """An orderly shutdown; afterwards another machine can use its disk as backing file."""
        self._end("poweroff")

    def cut_power(self) -> None:
        """Ends it between two instructions, without a new boot: `power_on` is the next step."""
        self._emulator.kill()
        self._emulator.wait()
        self._channel.close()

    def stop(self) -> None:
        """End it at once, if it runs."""
        self.cut_power()

    def _end(self, verb: str) -> None:
        self.begin(["systemctl", verb])
        try:
            self._emulator.wait(OFF_SECONDS)
        except subprocess.TimeoutExpired:
            raise MachineError(f"{verb} takes longer than {OFF_SECONDS:g} s\n{self.console_tail()}") from None
        self._channel.close()

    # Running programs

    def perform(self, call: Call) -> subprocess.CompletedProcess[str]:
        become = self._become(call.user) if call.user is not None else []
        timeout = call.timeout * self._patience
        out, err, status = self._exchange([*become, *call.argv], (call.input or "").encode(), timeout, call.env)
        if call.merge:
            out, err = out + err, b""
        done = subprocess.CompletedProcess(list(call.argv), status or 0, _text(out), _text(err))
        if status is None:
            raise MachineError(describe(call.argv, f"not done within {timeout:g} s", done.stdout, done.stderr))
        return done

    def begin(self, argv: Sequence[str], *, timeout: float = 600.0) -> int:
        """Start a program and return at once, with the number that `has_finished` takes."""
        return self._channel.ask(_question(argv, timeout, {}))

    def has_finished(self, number: int, within: float) -> bool:
        """Wait for a program's end, at most so many seconds."""
        try:
            self._channel.answer(number, within)
        except TimeoutError:
            return False
        return True

    def finishes_within(self, number: int, work: float) -> bool:
        """Whether a program ends before the emulator has used so many seconds of processor time;
        waits for that. So a busy host has no influence."""
        until = self.work() + work
        while self.work() < until:
            if self.has_finished(number, POLL_SECONDS):
                return True
        return False

    def work(self) -> float:
        """The emulator's processor time, in seconds (proc(5), utime and stime)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _exchange(
        self, argv: Sequence[str], body: bytes, timeout: float, env: Mapping[str, str]
    ) -> tuple[bytes, bytes, int | None]:
        try:
            number = self._channel.ask(_question(argv, timeout, env), body)
            answer = self._channel.answer(number, timeout + LATE_SECONDS)
        except (GuestGoneError, TimeoutError) as error:
            raise MachineError(f"{' '.join(argv)}: {error or 'no answer'}\n{self.console_tail()}") from None
        return _parted(answer)

    def wait_until(self, condition: Sequence[str] | Callable[[], bool], *, timeout: float = 30.0) -> None:
        super().wait_until(condition, timeout=timeout * self._patience)

    # Files

    def write(self, path: str, text: str | bytes, mode: int = 0o644) -> None:
        body = text.encode() if isinstance(text, str) else text
        script = 'mkdir -p "${1%/*}" && cat >"$1" && chmod "$2" "$1"'
        _, err, status = self._exchange(["sh", "-c", script, "sh", path, f"{mode:o}"], body, LATE_SECONDS, {})
        if status != 0:
            raise MachineError(describe(["write", path], f"exit status {status}", None, _text(err)))

    def read(self, path: str) -> str:
        return self.run(["cat", "--", path]).stdout

    def exists(self, path: str) -> bool:
        return self.run(["test", "-e", path, "-o", "-L", path], check=False).returncode == 0

    # its output

    def journal_tail(self, unit: str | None = None, lines: int = TAIL_LINES) -> str:
        """The console's text, for a machine that does not answer."""
        try:
            return super().journal_tail(unit, lines)
        except MachineError:
            return self.console_tail()

    def console_tail(self) -> str:
        """The end of the console's text, and of qemu's output."""
        texts = [path.read_bytes() for path in (self._console, self._console.with_suffix(".qemu")) if path.exists()]
        return "\n".join(_text(text[-CONSOLE_BYTES:]) for text in texts)


def _question(argv: Sequence[str], timeout: float, env: Mapping[str, str]) -> dict[str, object]:
    return {"argv": list(argv), "env": {**ENVIRONMENT, **env}, "timeout": timeout}


def _parted(answer: Frame) -> tuple[bytes, bytes, int | None]:
    """Stdout, stderr and the status of an answer."""
    match answer.head:
        case {"out": int(out), "status": int() | None as status}:
            return answer.body[:out], answer.body[out:], status
        case head:
            raise MachineError(f"not an answer: {head}")


def _text(data: bytes) -> str:
    return data.decode(errors="replace")

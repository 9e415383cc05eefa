"""A virtual machine with the package in it. `make test-vm` makes the package first.

TQUNITS_VM_SUITE names the Debian; the default is trixie.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from deb.host import PackagedHost
from deb.package import built, needed_by
from machine import Host, MachineError

from .folders import run_folder
from .guest import VirtualMachine
from .image import Image, image_of
from .recipe import recipe

SUITE = os.environ.get("TQUNITS_VM_SUITE", "trixie")

Boot = Callable[..., VirtualMachine]


@dataclass(frozen=True)
class VirtualHost(PackagedHost):
    """A packaged host in a virtual machine."""

    machine: VirtualMachine


@pytest.fixture(scope="session")
def deb() -> Path:
    """The package under test."""
    return built(SUITE)


@pytest.fixture(scope="session")
def image(deb: Path) -> Image:
    """An image of a Debian with the package's dependencies, but without the package."""
    try:
        return image_of(recipe(SUITE, needed_by(deb)))
    except MachineError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """The folder for the disks of this run."""
    with run_folder() as path:
        yield path


@pytest.fixture(scope="module")
def boot(image: Image, folder: Path, machines: list[Host]) -> Iterator[Boot]:
    """A function that boots a machine over the image, or over another machine's disk. It runs until
    the module's last test has ended, unless `with` ends it earlier."""
    with ExitStack() as stack:

        def boot_one(backing: Path | None = None) -> VirtualMachine:
            machine = stack.enter_context(VirtualMachine.boot(image, folder, backing))
            stack.callback(machine.disk.unlink)
            machines.append(machine)
            stack.callback(machines.remove, machine)
            return machine

        yield boot_one


@pytest.fixture(scope="module")
def host(boot: Boot, deb: Path) -> VirtualHost:
    """A machine with the package, and with an empty folder of workers."""
    host = VirtualHost(boot())
    host.apt_install(deb)
    host.server("")
    return host

"""The manager and tq-repair in tests that are not about them: their units run, and do nothing.

Hundreds of tests install workers on a machine, and each install starts the manager's unit, and
tq-repair several times, because it looks after each change of the units' folder: an interpreter and
its libraries take 0.25 s of CPU. The manager's socket lies elsewhere meanwhile, so that nobody
waits for an answer."""

from .host import Host

_FOLDER = "/usr/local/lib/systemd/system"
_MANAGER = {
    f"{_FOLDER}/tq-manager.service.d/90-at-rest.conf": (
        "[Service]\nType=exec\nExecStart=\nExecStart=/bin/sleep infinity\nWatchdogSec=0\n"
    ),
    f"{_FOLDER}/tq-manager.socket.d/90-at-rest.conf": "[Socket]\nListenStream=\nListenStream=/run/tq-manager-at-rest\n",
}
_REPAIR = {
    f"{_FOLDER}/tq-repair.service.d/90-at-rest.conf": ("[Service]\nExecCondition=\nExecStart=\nExecStart=/bin/true\n")
}


def rest(machine: Host) -> None:
    """What is installed from now on has a manager and a tq-repair at rest."""
    for path, text in {**_MANAGER, **_REPAIR}.items():
        machine.write(path, text)


def wake(machine: Host) -> None:
    """What is installed from now on has a manager that does its work."""
    for path in _MANAGER:
        machine.remove(path)


def wake_repair(machine: Host) -> None:
    """What is installed from now on has a tq-repair that does its work."""
    for path in _REPAIR:
        machine.remove(path)

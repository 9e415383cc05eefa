"""The manager in tests that are not about it: its unit runs, and does nothing.

Hundreds of tests install workers on a machine, and each install starts the manager's unit: an
interpreter and its libraries take 0.25 s of CPU. Its socket lies elsewhere meanwhile,
so that nobody waits for an answer.
"""

from .host import Host

_FOLDER = "/usr/local/lib/systemd/system"
_DROP_INS = {
    f"{_FOLDER}/tq-manager.service.d/90-at-rest.conf": (
        "[Service]\nType=exec\nExecStart=\nExecStart=/bin/sleep infinity\nWatchdogSec=0\n"
    ),
    f"{_FOLDER}/tq-manager.socket.d/90-at-rest.conf": "[Socket]\nListenStream=\nListenStream=/run/tq-manager-at-rest\n",
}


def rest(machine: Host) -> None:
    """What is installed from now on has a manager at rest."""
    for path, text in _DROP_INS.items():
        machine.write(path, text)


def wake(machine: Host) -> None:
    """What is installed from now on has a manager that does its work."""
    for path in _DROP_INS:
        machine.remove(path)

"""Exit statuses are an interface (`man tqunits`, EXIT STATUS): every verb in every situation, on a
booted systemd."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from machine import Machine
from operation import Host

from tqunits.cli.listing import AWAY

SOURCE = "/srv/tqunits/workers/{0}/config/worker.yaml"
YAML = "path: /{0}\ncommand: [sleep, infinity]\n"
SERVICES = {
    "alpha": "",
    "idle": "",
    "broken": "Type=notify\nExecStart=\nExecStart=/bin/false",
    "sick": "ExecStartPost=/bin/sh -c 'exit 1'",
    "slow": "ExecStartPost=/bin/sleep 20",
}


@pytest.fixture(scope="module")
def host(machine: Machine) -> Iterator[Host]:
    """alpha runs, broken has failed, the others neither run nor have failed; alpha and new are
    configured, new is not installed.

    No file was really written by install.
    """
    made = Host(machine)
    machine.run(["mv", "/srv/tqunits", "/srv/tqunits.aside"], check=False)
    made.install(**SERVICES)
    for name in "alpha", "new":
        machine.write(SOURCE.format(name), YAML.format(name))
    machine.tqunits("start", "alpha")
    machine.tqunits("start", "broken", check=False)
    yield made
    machine.remove("/srv/tqunits")
    machine.run(["mv", "/srv/tqunits.aside", "/srv/tqunits"], check=False)
    made.clean()


def status(host: Host, line: str, user: str | None = None) -> int:
    return host.machine.tqunits(*line.split(), user=user, check=False).returncode


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--help", 0),
        ("--version", 0),
        ("", 2),
        ("nope", 2),
        ("--nope", 2),
        ("-C /nowhere ls", 2),
        ("ls -C /", 2),
        ("version", 0),
        ("version now", 2),
        ("version --running", 3),
        ("docs", 0),
        ("docs limits", 0),
        ("docs nope", 2),
        ("completion bash", 0),
        ("completion tcsh", 2),
        ("check", 0),
        ("check --json", 0),
        ("check nope", 4),
        ("render", 0),
        ("render alpha", 0),
        ("render nope", 4),
        ("render --systemd 12", 2),
        ("diff", 2),
        ("security", 0),
        ("security --threshold 0.1", 1),
        ("security --threshold much", 2),
        ("security nope", 4),
        ("init alpha", 1),
        ("init Not-A-Name", 2),
        ("init fresh --type cobol", 2),
        ("install", 1),  # the template is not ours
        ("install --timeout soon", 2),
        ("install --dry-run", 2),
        ("apply", 1),
        ("apply nope", 4),
        ("apply alpha --remove-all", 2),
        ("apply --unattended --remove-all", 2),
        ("apply --note", 0),
        ("apply --note alpha", 2),
        ("apply --note --unattended", 2),
        ("apply --note --json", 2),
        ("uninstall", 2),
        ("uninstall nope", 4),
        ("ls", 0),
        ("ls alpha", 0),
        ("ls alpha idle", 3),
        ("ls idle --json", 3),
        ("ls nope", 4),
        ("show alpha", 0),
        ("show idle", 0),
        ("show new", 0),
        ("show nope", 4),
        ("show", 2),
        ("start alpha", 0),
        ("start broken", 1),
        ("start sick", 6),
        ("start sick broken", 1),
        ("start slow --timeout 100ms", 6),
        ("start slow --no-block", 0),
        ("start new", 4),
        ("start nope", 4),
        ("start", 2),
        ("start --all alpha", 2),
        ("restart alpha", 0),
        ("restart broken", 1),
        ("scale", 0),
        ("scale alpha", 2),
        ("scale alpha=0", 2),
        ("scale nope=2", 4),
        ("scale alpha=2", 1),  # the template is not ours
        ("stop idle", 0),
        ("stop no*", 4),
        ("enable alpha", 0),
        ("enable --now broken", 1),
        ("disable broken", 0),
        ("disable nope", 4),
        ("logs alpha -n 1", 0),
        ("logs alpha --since never", 1),
        ("logs nope", 4),
        ("logs alpha --router", 2),
        ("logs alpha --json -o cat", 2),
        ("pause nope", 4),
        ("resume", 2),
        ("maintenance off alpha --text x", 2),
        ("maintenance alpha", 2),
        ("doctor", 1),  # broken has failed
        ("proxy", 2),
        ("proxy --route api --listen 127.0.0.1:1", 2),
        ("proxy --routes /nowhere", 2),
        ("proxy --routes /nowhere --listen 127.0.0.1:8099", 1),
    ],
    ids=str,
)
def test_root_gets(host: Host, line: str, expected: int) -> None:
    assert status(host, line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("check", 0),
        ("render alpha", 0),
        ("diff", 2),
        ("ls", 0),
        ("ls idle", 3),
        ("show alpha", 0),
        ("init another", 5),
        ("install", 5),
        ("install --dry-run", 2),
        ("apply", 5),
        ("uninstall alpha", 5),
        ("uninstall nope", 4),
        ("start idle", 5),
        ("stop alpha", 5),
        ("restart alpha", 5),
        ("enable idle", 5),
        ("disable idle", 5),
        ("scale", 0),
        ("scale alpha=2", 5),
        ("version --running", 5),
        ("--user ls", 0),
        ("--user install", 1),  # the user nobody has no service manager of its own
    ],
    ids=str,
)
def test_nobody_gets(host: Host, line: str, expected: int) -> None:
    assert status(host, line, user="nobody") == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("check", 1),
        ("render", 1),
        ("diff", 1),
        ("install", 1),
        ("apply", 1),
        ("show alpha", 0),
        ("ls", 0),
        ("stop idle", 0),
    ],
    ids=str,
)
def test_with_an_error_in_the_yaml_one_gets(host: Host, line: str, expected: int) -> None:
    host.machine.write(SOURCE.format("wrong"), "path: [\n")
    try:
        assert status(host, line) == expected
    finally:
        host.machine.remove("/srv/tqunits/workers/wrong")


@pytest.mark.parametrize("line", ["start slow", "restart slow"], ids=str)
def test_an_interrupted_command_says_so_and_ends_with_130(host: Host, line: str) -> None:
    host.machine.systemctl("stop", "tq-worker@slow.service")
    argv = ["timeout", "--preserve-status", "--foreground", "--signal=INT", "1", "tqunits", *line.split()]
    done = host.machine.run(argv, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.startswith("tqunits: interrupted;")
    assert host.state("slow") == "activating"  # systemd finishes the job


@pytest.mark.parametrize("line", ["version", "docs", "ls"], ids=str)
def test_a_full_disk_is_told_and_a_closed_stdout_is_not(host: Host, line: str) -> None:
    said = f"{AWAY}\n" if line == "ls" else ""  # the manager of these machines is at rest
    full = host.machine.run(["sh", "-c", f"tqunits {line} > /dev/full"], check=False)
    assert (full.returncode, full.stderr) == (1, f"{said}tqunits: No space left on device\n")
    closed = host.machine.run(["sh", "-c", f"tqunits {line} >&-"], check=False)
    assert (closed.returncode, closed.stderr) == (0, said)


def test_a_closed_pipe_ends_it_quietly(host: Host) -> None:
    done = host.machine.run(["bash", "-c", "tqunits docs | head -n 1; echo ${PIPESTATUS[0]}"])
    assert done.stdout.splitlines()[-1] in {"0", "141"}
    assert done.stderr == ""

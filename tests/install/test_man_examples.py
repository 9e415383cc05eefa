"""The examples of the man pages and of the samples' README, each exactly as written, on a booted
host.

They are typed by a user who may use sudo and read the journal, in her home.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from machine import Machine, rest, wake
from manual import PROMPT, Example, Kind, examples, of_kind

from setup import ROOT as CHECKOUT

from .conftest import emptying, sync_access_log

WORKERS = "/srv/tqunits/workers"
SAMPLES = "/srv/tqunits/samples"
README = CHECKOUT / "workers/README.md"
CONTRACT = "tqunits-contract.7"
PAGES = sorted({example.page for example in of_kind(Kind.SHELL)})
BEFORE_THE_FIRST = {"tqunits.1", "tqunits-init.1"}
"""Pages whose examples begin on a host without workers; the others begin with the worker `shop`."""

STATUSES = {
    "tqunits diff": 2,
    "sudo tqunits apply --dry-run": 2,
    "sudo tqunits uninstall --all --purge --dry-run": 2,
}
"""The exit status of commands that report whether there is something to change; every other command
succeeds."""

SAYS = {
    ("tqunits.1", "tqunits ls"): "healthy",
    ("tqunits.1", "curl localhost:8080/shop/"): "hello from shop\n",
    ("tqunits.1", "tqunits --user -C site ls"): "healthy",
    (CONTRACT, "curl localhost:8080/shop/"): "hello from shop\n",
    ("tqunits-init.1", "tqunits check shop"): "1 worker, 0 errors, 0 warnings",
    ("tqunits-init.1", "tqunits -C site check --strict"): "1 worker, 0 errors, 0 warnings",
    ("tqunits-ls.1", "tqunits why shop"): "shop",
    ("tqunits-pause.1", "curl localhost:8080/shop/"): "Back at nine.",
}
RUNS_ON = "tqunits proxy --listen 127.0.0.1:8000 "
PORT = 8000

USER_MANAGER = 'export XDG_RUNTIME_DIR="/run/user/$(id -u)" HOME=~{user}; cd; '
UNTIL_A_LINE_COMES = "{command} & read -r line; kill -TERM $!; wait $!"
SITE = """
rm -rf site
mkdir -p site/config site/workers .zfunc .config/fish/completions .local/share/bash-completion/completions
echo 'listen: ["127.0.0.1:8081"]' > site/config/tqunits.yaml
"""


@dataclass(frozen=True)
class Person:
    """A user at a terminal of the host."""

    machine: Machine
    name: str

    def types(self, command: str, *, status: int = 0) -> str:
        """Run a command line and check its exit status; gives its stdout and stderr."""
        script = USER_MANAGER.format(user=self.name) + command
        done = self.machine.run(["sh", "-c", script], user=self.name, check=False, timeout=120)
        assert done.returncode == status, f"{command}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def types_and_interrupts(self, command: str, port: int) -> None:
        """Run a program that runs until it is ended. It has to listen first, and to end
        successfully."""
        script = USER_MANAGER.format(user=self.name) + UNTIL_A_LINE_COMES.format(command=command)
        with self.machine.start(["sh", "-c", script], user=self.name, stdin=-1) as process:
            self.machine.wait_until(["sh", "-c", f"ss -Hltn 'sport = :{port}' | grep -q ."])
            out, err = process.communicate("\n", timeout=60)
            assert process.returncode == 0, f"{command}: exit status {process.returncode}\n{out}{err}"


@pytest.fixture(scope="module")
def person(machine: Machine) -> Iterator[Person]:
    """With a service manager of her own, for `--user`."""
    name = "ada"
    machine.run(["useradd", "--create-home", "--groups", "systemd-journal", name])
    machine.write(f"/etc/sudoers.d/{name}", f"{name} ALL=(ALL) NOPASSWD: ALL\n", 0o440)
    machine.run(["loginctl", "enable-linger", name])
    uid = machine.user(name)[0]
    machine.wait_until(["systemctl", "is-active", "--quiet", f"user@{uid}.service"])
    yield Person(machine, name)
    machine.run(["loginctl", "disable-linger", name], check=False)
    machine.systemctl("stop", f"user@{uid}.service", f"user-{uid}.slice", check=False)
    machine.remove(f"/etc/sudoers.d/{name}")
    machine.run(["userdel", "--remove", name])


@pytest.fixture
def host(person: Person) -> Iterator[Person]:
    """A host without a worker."""
    machine = person.machine
    machine.run(["mv", WORKERS, SAMPLES])
    wake(machine)  # one page is about the manager
    with emptying(machine):
        machine.run(["mkdir", WORKERS])
        yield person
        machine.run(["rm", "-rf", WORKERS])
        rest(machine)
        machine.run(["mv", SAMPLES, WORKERS])


def lay_shop(person: Person) -> None:
    """The worker that tqunits-contract(7) shows, file by file."""
    files = {Kind.YAML: "config/worker.yaml", Kind.PROGRAM: "src/main.py"}
    shown = [example for example in examples() if example.page == CONTRACT and example.kind in files]
    assert [example.kind for example in shown] == [Kind.YAML, Kind.PROGRAM]
    for example in shown:
        person.machine.write(f"{WORKERS}/shop/{files[example.kind]}", example.text)


@pytest.mark.short("tqunits-install.1")
@pytest.mark.parametrize("page", PAGES)
def test_each_example_does_what_it_is_there_for(page: str, host: Person) -> None:
    host.types(SITE)
    if page not in BEFORE_THE_FIRST:
        lay_shop(host)
        host.types(f"sudo cp -r {SAMPLES}/index {WORKERS}/")  # the worker that is removed is not the last one
    if page not in BEFORE_THE_FIRST and page != "tqunits-install.1":
        host.types("sudo tqunits install --now && curl -sf localhost:8080/shop/")
        sync_access_log(host.machine)
    if page == "tqunits.1":
        host.types("tqunits init ./site/workers/blog --type python")
    for example in of_kind(Kind.SHELL):
        if example.page == page:
            run(example, host)


def run(example: Example, person: Person) -> None:
    """Type it line by line."""
    for command in example.commands:
        if command.startswith(RUNS_ON):
            person.types_and_interrupts(command, PORT)
        else:
            said = person.types(command, status=STATUSES.get(command, 0))
            assert SAYS.get((example.page, command), "") in said


@pytest.fixture
def bare(host: Person) -> Iterator[Person]:
    """A host that has no Go, no Node and no PHP."""
    found = host.machine.run(["sh", "-c", "command -v go node nodejs php"], check=False).stdout.split()
    for path in found:
        host.machine.run(["mv", path, f"{path}.away"])
    yield host
    for path in found:
        host.machine.run(["mv", f"{path}.away", path])


@pytest.mark.long
def test_a_sample_runs_on_a_host_without_go_node_and_php(bare: Person) -> None:
    commands = re.findall(r"^\$ (.*)$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert [command.partition(" ")[0] for command in commands] == ["sudo", "sudo", "curl"]
    said = [bare.types(f"cd {SAMPLES}; {command}") for command in commands]
    assert "It works" in said[-1]
    bare.types(f"sudo cp -r {SAMPLES}/blog {WORKERS}/ && sudo tqunits install --now blog")
    assert "Your name" in bare.types("curl -sf localhost:8080/blog/")


def test_what_is_expected_of_a_command_is_of_one_that_is_there() -> None:
    typed = {(example.page, command) for example in of_kind(Kind.SHELL) for command in example.commands}
    assert SAYS.keys() <= typed
    assert STATUSES.keys() <= {command for _, command in typed}
    assert any(command.startswith(RUNS_ON) for _, command in typed)
    assert not [command for _, command in typed if command.startswith(PROMPT)]

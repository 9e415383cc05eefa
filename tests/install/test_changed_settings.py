"""Settings that change on disk are applied by themselves, on a booted systemd: worker.yaml,
tqunits.yaml and its drop-ins, secrets and environment files. What is wrong is said, and changes
nothing."""

from __future__ import annotations

import json

import pytest

from .changing import FOLDER, await_watch, change, kill_manager, mark, says, until, watched
from .conftest import ROOT, Site
from .hammering import RESTART, RUDE, check, hammered
from .test_backoff import wait
from .test_copies import AS_OWNER, own
from .test_development import answers

SECRETS = "/etc/tqunits/secrets"
YAML = f"{FOLDER}/config/worker.yaml"
RED = f"{RESTART}environment: {{COLOUR: red}}\n"
PROGRAM = RUDE.replace('FILL = b"."', 'FILL = os.environ.get("COLOUR", ".")[:1].encode()')
"""Its answers are filled with the first letter of its colour."""


@pytest.fixture
def coloured(developing: Site) -> Site:
    """With the worker alpha, which is watched."""
    assert PROGRAM != RUDE
    developing.worker("alpha", RESTART, program=PROGRAM)
    developing.install()
    await_watch(developing)
    return developing


def output(site: Site, *words: str) -> str:
    """Of tqunits, whatever its exit status is."""
    done = site.machine.tqunits(*words, check=False)
    return str(done.stdout + done.stderr)


def kinds(found: list[dict[str, object]]) -> list[tuple[object, object]]:
    return [(each["kind"], each["outcome"]) for each in found]


def test_a_variable_is_applied_and_rolled_once(coloured: Site) -> None:
    site = coloured
    with hammered(site, 20) as report:
        site.worker("alpha", RED, program=PROGRAM)
        until(site, 1)
        assert answers(site) == "r"
    check(site, report)
    assert kinds(mark(site, "1")) == [("deploy", "done"), ("restart", "done")]


def test_a_mistake_in_worker_yaml_is_said_and_changes_nothing(coloured: Site) -> None:
    site, since = coloured, coloured.machine.cursor()
    with hammered(site, 20) as report:
        site.worker("alpha", "restart:\n  delay: soon\n", program=PROGRAM)
        change(site, "echo 1 > src/new.py")
        wait(site, lambda: bool(watched(site)["refused"]))
        says(site, "alpha: its worker.yaml is not applied, and what is installed stays: ", since)
        for verb in ("ls", "why"):
            assert f"{YAML}:5:10" in output(site, verb, "alpha"), verb
        assert answers(site) == "."
        assert json.loads(site.run("history", "alpha", "--json"))["deploys"] == [], "the sources wait"
        site.worker("alpha", RESTART, program=PROGRAM)
        wait(site, lambda: not watched(site)["refused"])
        (deploy,) = until(site, 1)
        assert deploy["message"] == "src/new.py is new"
    check(site, report)
    assert len(mark(site, "1")) == 2
    assert f"{YAML}:5:10" not in output(site, "why", "alpha")


def test_worker_yaml_and_a_source_at_once_are_one_roll(coloured: Site) -> None:
    site = coloured
    with hammered(site, 20) as report:
        change(site, "printf 'environment: {COLOUR: red}\\n' >> config/worker.yaml; echo '# 2' >> src/main.py")
        until(site, 1)
        assert answers(site) == "r"
        marked = mark(site, "1")
    check(site, report)
    assert kinds(marked) == [("deploy", "done"), ("deploy", "done")]


def test_settings_before_the_end_of_a_manager_are_applied_and_rolled_once(coloured: Site) -> None:
    """Whether it has noticed them before or not."""
    site = coloured
    with hammered(site, 20) as report:
        for number, colour in enumerate(("red", "green"), 1):
            site.worker("alpha", f"{RESTART}environment: {{COLOUR: {colour}}}\n", program=PROGRAM)
            kill_manager(site)
            until(site, number)
            assert answers(site) == colour[0]
    check(site, report)
    assert kinds(mark(site, "1")) == [("deploy", "done"), ("restart", "done"), ("restart", "done")]


def test_a_limit_is_applied_and_restarts_nobody(coloured: Site) -> None:
    site = coloured
    change(site, "printf 'limits: {memory_max: 300M}\\n' >> config/worker.yaml")
    wait(site, lambda: site.machine.show("tq-worker@alpha.service", "MemoryMax") == str(300 << 20))
    assert kinds(mark(site, "1")) == [("deploy", "done")]


def test_a_worker_yaml_that_is_gone_for_a_while_is_no_order(coloured: Site) -> None:
    site, since = coloured, coloured.machine.cursor()
    change(site, "mv config/worker.yaml /srv/worker.yaml")
    wait(site, lambda: watched(site)["state"] == "broken")
    says(site, f"alpha: changes of its files are not noticed: {YAML} is not there", since)
    assert f"{YAML} is not there" in output(site, "show", "alpha")
    assert answers(site) == "."
    change(site, "mv /srv/worker.yaml config/worker.yaml")
    await_watch(site)
    assert kinds(mark(site, "1")) == [("deploy", "done")]


MAIN_FILE = "/etc/tqunits/tqunits.yaml"
DROP_IN = "/etc/tqunits/tqunits.yaml.d/10-colour.yaml"


def test_tqunits_yaml_and_its_drop_ins_are_applied_and_rolled_once(coloured: Site) -> None:
    site = coloured
    with hammered(site, 20) as report:
        site.server("mode: development\ndefaults: {environment: {COLOUR: red}}\n")
        until(site, 1)
        assert answers(site) == "r"
        site.machine.write(DROP_IN, "defaults: {environment: {COLOUR: green}}\n")
        until(site, 2)
        assert answers(site) == "g"
        site.machine.write(f"{DROP_IN}.new", "defaults: {environment: {COLOUR: blue}}\n")
        site.machine.run(["mv", f"{DROP_IN}.new", DROP_IN])
        until(site, 3)
        assert answers(site) == "b"
    check(site, report)
    site.machine.remove("/etc/tqunits/tqunits.yaml.d")
    until(site, 4)
    assert answers(site) == "r"
    assert kinds(mark(site, "1")) == [("deploy", "done"), *[("restart", "done")] * 4]


def test_a_mistake_in_tqunits_yaml_is_said_and_changes_nothing(coloured: Site) -> None:
    site, since = coloured, coloured.machine.cursor()
    site.server("mode: development\ndefaults: {environment: {COLOUR: red}}\nlisten: [nonsense]\n")
    says(site, "not all of it is applied, and what is installed stays: tq-apply.service ", since)
    assert f"{MAIN_FILE}:4:10: error: listen: 'nonsense'" in site.machine.journal("tq-apply.service", since)
    assert "tqunits.yaml, as it is now, is not applied: tq-apply.service " in site.run("ls")
    assert answers(site) == "."
    site.server("mode: development\ndefaults: {environment: {COLOUR: red}}\n")
    until(site, 1)
    assert "not applied" not in site.run("ls")
    assert answers(site) == "r"
    assert kinds(mark(site, "1")) == [("deploy", "done"), ("restart", "done")]


WRITES = {
    "in place": "printf second > key",
    "by a rename": "umask 077; printf second > key.new; mv key.new key",
    "of the same length": "printf later > key",
}


@pytest.mark.short("by a rename")
@pytest.mark.parametrize("way", WRITES)
def test_a_secret_of_roots_is_rolled_once(developing: Site, way: str) -> None:
    site = developing
    site.machine.write(f"{SECRETS}/key", "first", 0o600)
    site.machine.run(["chmod", "700", SECRETS])
    site.worker("alpha", f"credentials: {{key: {SECRETS}/key}}\n")
    site.install()
    await_watch(site)
    site.machine.run(["sh", "-euc", f"cd {SECRETS}; {WRITES[way]}"])
    until(site, 1)
    key = site.get("/alpha/read?of=/run/credentials/tq-worker@alpha.service/key")
    assert key == (200, "later" if "later" in WRITES[way] else "second")
    assert kinds(mark(site, "1")) == [("deploy", "done"), ("restart", "done")]
    site.machine.remove(SECRETS)


def test_an_environment_file_of_a_users_is_copied_and_rolled_once(developing: Site) -> None:
    """It lies in his own folder, and root copies it."""
    site = developing
    site.worker("alpha", "environment_file: .env\n")
    site.machine.write(f"{ROOT}/workers/alpha/.env", "COLOUR=red\n", 0o600)
    own(site)
    site.install()
    await_watch(site)
    site.machine.run([*AS_OWNER, "sh", "-euc", f"cd {FOLDER}; echo COLOUR=green > .env"])
    until(site, 1)
    assert site.get("/alpha/environment")[1]["COLOUR"] == "green"
    assert kinds(mark(site, "1")) == [("deploy", "done"), ("restart", "done")]

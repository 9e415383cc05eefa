"""A broken worker.yaml changes nothing on the host; the message has the place and the mistake
(promise P3)."""

from __future__ import annotations

import pytest
from machine import Machine

from .conftest import ROOT, Site, emptying

GOOD = "path: /alpha\ntype: python\ncommand: [python3, src/main.py]\n"

# id: (worker.yaml, line:column of the finding, a part of the message)
MISTAKES = {
    "not-yaml": ("path: [/alpha\n", "2:1", "error"),
    "tab": ("path: /alpha\nlimits:\n\tmemory_max: 1M\n", "3:1", "error"),
    "not-a-mapping": ("- path: /alpha\n", "1:1", "key: value"),
    "path-missing": ("type: python\n", "1:1", "path"),
    "path-relative": ("path: alpha\n", "1:7", "/"),
    "unknown-key": (GOOD + "comand: [x]\n", "4:1", "did you mean 'command'"),
    "unknown-key-below": (GOOD + "limits: {memory_mx: 1M}\n", "4:10", "did you mean 'memory_max'"),
    "duplicate-key": (GOOD + "path: /beta\n", "4:1", "path"),
    "bad-size": (GOOD + "limits: {memory_max: lots}\n", "4:22", "lots"),
    "bad-span": (GOOD + "timeouts: {stop: soon}\n", "4:18", "soon"),
    "octal": (GOOD + "limits: {tasks_max: 010}\n", "4:21", "010"),
    "sexagesimal": (GOOD + "timeouts: {stop: 12:30}\n", "4:18", "12:30"),
    "not-a-boolean": (GOOD + "strip_prefix: perhaps\n", "4:15", "perhaps"),
    "unknown-type": ("path: /alpha\ntype: pyton\n", "2:7", "did you mean 'python'"),
    "root": (GOOD + "user: root\n", "4:7", "root"),
    "port-too-high": (GOOD + "port: 70000\n", "4:7", "70000"),
    "return-in-value": (GOOD + 'environment: {A: "x\\rExecStart=/bin/sh"}\n', "4:18", "control character"),
    "pass-through-refused": (GOOD + "unit: {Service: {ExecStartPre: /bin/sh}}\n", "4:18", "ExecStartPre"),
    "relaxation-unknown": (GOOD + "sandbox: lax\n", "4:10", "lax"),
}


@pytest.mark.short("4")
@pytest.mark.parametrize("stride", [4, 1])
def test_no_mistake_changes_anything(site: Site, stride: int) -> None:
    """`stride`: the short form has one of so many mistakes."""
    site.yaml("alpha", GOOD)
    site.worker("alpha")
    site.install()
    before, pid = site.files(), site.machine.show("tq-worker@alpha.service", "MainPID")
    for yaml, _, _ in list(MISTAKES.values())[::stride]:
        site.yaml("alpha", yaml)
        site.install(status=1)
    assert site.files() == before
    assert site.machine.show("tq-worker@alpha.service", "MainPID") == pid
    assert site.get("/alpha/health") == (200, "ok")


@pytest.fixture(scope="module")
def said(machine: Machine) -> str:
    """The messages of install for each mistake, `mistaken-0` and so on."""
    with emptying(machine):
        site = Site(machine)
        site.server("mode: production\n")
        for number, (yaml, _, _) in enumerate(MISTAKES.values()):
            site.yaml(f"mistaken-{number}", yaml)
        return site.install(status=1)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_it_is_said_where_and_what(said: str, mistake: str) -> None:
    _, place, what = MISTAKES[mistake]
    file = f"{ROOT}/workers/mistaken-{list(MISTAKES).index(mistake)}/config/worker.yaml"
    assert f"{file}:{place}: error: " in said
    _, _, finding = said.partition(f"{file}:{place}: ")
    assert what in finding.partition(f"{ROOT}/workers/")[0]  # with its own hint, and no other one's


def test_two_workers_on_one_route_name_both(site: Site) -> None:
    site.worker("alpha")
    site.yaml("beta", GOOD)
    said = site.install(status=1)
    for one, other in (("alpha", "beta"), ("beta", "alpha")):
        place = f"{ROOT}/workers/{one}/config/worker.yaml:1:1"
        assert f"{place}: error: path: /alpha is the route of worker '{other}' too" in said
        assert f"refused {one}: what is installed of it stays" in said


def test_all_mistakes_of_all_files_are_said_at_once(site: Site) -> None:
    site.server("mode: fast\n")
    site.yaml("alpha", "path: alpha\nuser: root\n")
    site.yaml("beta", "type: python\n")
    said = site.install(status=1)
    for place in (
        "tqunits.yaml:1:7",
        "alpha/config/worker.yaml:1:7",
        "alpha/config/worker.yaml:2:7",
        "beta/config/worker.yaml:1:1",
    ):
        assert place in said


def test_a_workers_file_in_another_place_is_no_success(site: Site) -> None:
    site.worker("alpha")
    site.worker("beta", "depends: [alpha]\n")
    site.install()
    folder = f"{ROOT}/workers/alpha"
    site.machine.run(["sh", "-c", f"mv {folder}/config/worker.yaml {folder} && rmdir {folder}/config"])
    hint = f"mkdir -p {folder}/config && mv {folder}/worker.yaml {folder}/config/worker.yaml"
    for verb in (("check",), ("install", "--now")):
        said = site.run(*verb, status=1)
        assert f"{folder}/worker.yaml:1:1: error: this file is not read: a worker's is config/worker.yaml" in said
        assert hint in said
    assert site.get("/alpha/health")[0] == 200
    site.machine.run(["sh", "-c", hint])
    assert "tq-worker@alpha" not in site.install()

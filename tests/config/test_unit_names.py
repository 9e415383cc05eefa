"""Which units a worker may name, and workers that wait for each other."""

from __future__ import annotations

import pytest

from tqunits.config import unit_names
from tqunits.config.reject import Reject

from .parsing import Mistake, api, errors, shown, workers

ENDING = (
    "poweroff.target",
    "rescue.target",
    "rescue.service",
    "emergency.service",
    "suspend.target",
    "sleep.target",
    "hybrid-sleep.target",
    "systemd-suspend.service",
    "systemd-poweroff.service",
    "systemd-hibernate.service",
    "runlevel0.target",
    "runlevel6.target",
    "ctrl-alt-del.target",
    "shutdown.target",
    "debug-shell.service",
)
BOOT = ("multi-user.target", "graphical.target", "default.target", "runlevel3.target", "tq.target")
GO = "path: /a\ntype: go\n"
USUAL = (
    "network-online.target",
    "postgresql.service",
    "redis@one.service",
    "sshd.service",
    "srv.mount",
    "a:2.service",
    "a@b:2.service",
    "tq-worker@api.socket",
    "basic.target",
)


@pytest.mark.parametrize("unit", ENDING)
def test_no_worker_starts_what_ends_the_hosts_work(unit: str) -> None:
    with pytest.raises(Reject, match="would end the host's work"):
        unit_names.unit(unit)


@pytest.mark.parametrize("unit", BOOT)
def test_no_worker_waits_for_what_comes_to_workers(unit: str) -> None:
    with pytest.raises(Reject, match="none can wait for it"):
        unit_names.unit(unit)


@pytest.mark.parametrize("unit", USUAL)
def test_other_units_may_be_named(unit: str) -> None:
    assert unit_names.unit(unit) == unit


@pytest.mark.parametrize("unit", [*ENDING, *BOOT, *USUAL, "tq-proxy@1.service", "tq-worker@api.socket"])
def test_nothing_of_the_host_waits_for_a_worker(unit: str) -> None:
    with pytest.raises(Reject, match="would wait for a worker"):
        unit_names.worker(unit)
    assert unit_names.worker("tq-worker@api.service") == "tq-worker@api.service"


CASES: dict[str, Mistake] = {
    "boot": Mistake(
        f"{GO}depends: {{after: [multi-user.target]}}",
        3,
        19,
        "depends.after: multi-user.target comes to workers, so none can wait for it",
        "name the unit that is needed; a worker starts after basic.target and network.target anyway",
    ),
    "service that ends": Mistake(
        f"{GO}depends: {{requires: [systemd-suspend.service]}}",
        3,
        22,
        "depends.requires: starting systemd-suspend.service would end the host's work",
        "remove it",
    ),
    "before": Mistake(
        f"{GO}unit: {{Unit: {{Before: sshd.service}}}}",
        3,
        23,
        "unit: Before: 'sshd.service' would wait for a worker, and only another worker may",
        "use systemctl edit there; Before takes: workers, as tq-worker@NAME.service",
    ),
    "wants": Mistake(
        f"{GO}unit: {{Unit: {{Wants: a.service rescue.service}}}}",
        3,
        22,
        "unit: Wants: starting rescue.service would end the host's work",
        "remove it; Wants takes: units",
    ),
    "instance": Mistake(
        f"{GO}depends: [postgresql.service, db:2]",
        3,
        31,
        "depends.requires: 'db:2' is one instance of the worker db",
        "write db: it means all of them",
    ),
    "instance's unit": Mistake(
        f"{GO}unit: {{Unit: {{After: tq-worker@db:2.service}}}}",
        3,
        22,
        "unit: After: 'tq-worker@db:2.service' is one instance of the worker db",
        "write db: it means all of them; After takes: units",
    ),
    "value": Mistake(
        f"{GO}unit: {{Service: {{Nice: high}}}}",
        3,
        24,
        "unit: Nice: 'high' is not a whole decimal number",
        "write digits only, such as 10; Nice takes: 0 to 19",
    ),
    "share": Mistake(
        f"{GO}unit: {{Service: {{IOSchedulingClass: realtime}}}}",
        3,
        37,
        "unit: IOSchedulingClass: 'realtime' is not one of best-effort, idle",
        "IOSchedulingClass takes: best-effort | idle",
    ),
    "forgery": Mistake(
        f"{GO}unit: {{Service: {{LogExtraFields: TQUNITS_WORKER=web}}}}",
        3,
        18,
        "unit: 'LogExtraFields' is not passed through",
        "its fields could name another worker; whoever needs it nevertheless: systemctl edit",
    ),
    "start": Mistake(
        f"{GO}timeouts: {{start: infinity}}",
        3,
        19,
        "timeouts.start: 'infinity' is more than 1h",
        "write at most 1h, and let the health check pass when it is up",
    ),
}


@pytest.mark.parametrize("mistake", CASES.values(), ids=CASES)
def test_it_is_said_with_its_place_and_a_hint(mistake: Mistake) -> None:
    result = api(mistake.yaml)
    place = f"api.yaml:{mistake.line}:{mistake.column}"
    assert errors(result.diagnostics) == [(place, mistake.message, mistake.hint)]
    assert result.configuration is not None
    assert result.configuration.broken == ("api",)


def test_a_name_without_a_suffix_is_a_worker() -> None:
    files = {"api": "path: /api\ntype: go\ndepends: [db]\nunit: {Unit: {After: db}}", "db": "path: /db\ntype: go"}
    result = workers(files)
    assert result.diagnostics == ()
    assert result.configuration is not None
    api_ = result.configuration.workers[0]
    assert api_.depends.requires == ("tq-worker@db.service",)
    assert api_.unit == (("Unit", "After", "tq-worker@db.service"),)


def test_a_unit_that_is_called_like_a_worker_is_told() -> None:
    files = {"api": "path: /api\ntype: go\ndepends: {after: [db.service]}", "db": "path: /db\ntype: go"}
    message = "depends.after: db.service is a unit of this host, not the worker 'db'"
    assert shown(workers(files).diagnostics) == [("api.yaml:3:19", message, "for the worker write db")]


@pytest.mark.parametrize("depends", ["{after: null}", "{after: ~}", "{requires: null}", "null", "[]"])
def test_nothing_is_no_worker(depends: str) -> None:
    assert errors(api(f"{GO}depends: {depends}").diagnostics) == []


@pytest.mark.parametrize("key", ["after", "requires"])
def test_nobody_waits_for_files(key: str) -> None:
    """A worker of type static has no unit: systemd would refuse to start a unit that requires
    it."""
    files = {"api": f"{GO}depends: {{{key}: [web]}}", "web": "path: /web\ntype: static"}
    message = f"depends.{key}: 'web' is files alone, with no program that could start"
    assert errors(workers(files).diagnostics) == [(f"api.yaml:3:{14 + len(key)}", message, "remove it")]


def test_a_worker_does_not_depend_on_itself_by_name() -> None:
    message = "depends.requires: a worker can not depend on itself"
    assert errors(api("path: /a\ntype: go\ndepends: api").diagnostics) == [("api.yaml:3:10", message, "remove it")]

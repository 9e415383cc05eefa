"""A limit is a row of the table and a field of the model; everything else about limits is derived
from them."""

from __future__ import annotations

import pytest
from config.parsing import api, server, shown, valid

from tqunits.config.settings import WORKER
from tqunits.resources import LIMITS
from tqunits.units.limits import directive_of, limit_directives, limit_properties
from tqunits.units.unitfile import LIVE_DIRECTIVES
from units.generated import taken


@pytest.fixture(params=LIMITS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def written(name: str) -> str:
    """A valid value of a limit that is not its default."""
    row = WORKER[f"limits.{name}"]
    return next(text for text in taken(row) if text not in ("null", row.default))


def test_it_becomes_a_directive_that_can_be_read_back(name: str) -> None:
    limited, directive = valid(f"path: /a\ntype: go\nlimits: {{{name}: {written(name)}}}"), LIMITS[name]
    assert dict(limit_directives(limited.limits))[directive.name]
    assert limit_properties(limited)[directive.property_name] == limited.limits.most(name)
    assert directive.name in LIVE_DIRECTIVES


def test_what_is_read_back_leads_to_the_directive_that_a_drop_in_has_for_it(name: str) -> None:
    limits = valid(f"path: /a\ntype: go\nlimits: {{{name}: {written(name)}}}")
    found = {directive_of(each) for each in limit_properties(limits)}
    assert found == dict(limit_directives(limits.limits)).keys()
    assert directive_of("CPUQuotaPerSecUSec") == "CPUQuota"
    assert directive_of("LimitNOFILESoft") == "LimitNOFILE"


def test_the_reference_says_which(name: str) -> None:
    assert WORKER[f"limits.{name}"].feeds == f"{LIMITS[name].name}="


def test_it_can_be_granted(name: str) -> None:
    found = server(f"grants: {{api: {{limits: {{{name}: {written(name)}}}}}}}")
    assert not found.diagnostics, shown(found.diagnostics)
    assert found.server.grants["api"].limits.keys() == {name}


def test_it_is_not_passed_through(name: str) -> None:
    directive = LIMITS[name].name
    findings = api(f"path: /a\ntype: go\nunit: {{Service: {{{directive}: 1}}}}").diagnostics
    assert [(f.message, f.hint) for f in findings] == [
        (f"unit: '{directive}' is not passed through", f"use the setting 'limits.{name}'")
    ]

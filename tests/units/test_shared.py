"""The shared files after workers are removed; test_plan.py tests them with workers that stay."""

from __future__ import annotations

import pytest

from tqunits.model import Listen
from tqunits.units import shared

from .cases import case, worker


@pytest.mark.parametrize(
    ("line", "groups", "left"),
    [
        pytest.param("SupplementaryGroups=a b c", {"b"}, "SupplementaryGroups=a c\n", id="one-of-many"),
        pytest.param("SupplementaryGroups=a", {"a"}, "", id="the-last"),
        pytest.param("SupplementaryGroups=ab", {"a"}, "SupplementaryGroups=ab\n", id="not-a-prefix"),
        pytest.param("User=a", {"a"}, "User=a\n", id="another-directive"),
    ],
)
def test_groups(line: str, groups: set[str], left: str) -> None:
    unit = "[Service]\n{}Type=notify\n"
    assert shared.without_groups(unit.format(f"{line}\n"), groups) == unit.format(left)


@pytest.mark.parametrize(
    ("user", "group", "accounts"),
    [
        pytest.param("worker-api", "worker-api", {"worker-api", "build-api"}, id="its own"),
        pytest.param(
            "www-data", "web", {"www-data", "web", "worker-api", "build-api"}, id="others, and its socket's group"
        ),
    ],
)
def test_the_accounts_that_a_drop_in_needs(user: str, group: str, accounts: set[str]) -> None:
    drop_in = case(worker("api", user=user, group=group, listen=Listen.FD)).drop_in("api")
    assert shared.accounts_of(drop_in) == accounts


def test_a_group_that_a_router_had_for_who_stays_is_kept() -> None:
    """An earlier version added the router to the worker's group, whatever group that was."""
    plain = next(f.content for f in case(worker("api")).files() if f.path.name == "tq-proxy@.service")
    before = plain.replace("DynamicUser=yes\n", "DynamicUser=yes\nSupplementaryGroups=adm worker-web\n")
    after = shared.with_groups(plain, before, frozenset({"worker-old", "adm"}))
    assert after.endswith("\n[Service]\nSupplementaryGroups=adm\n")


def test_the_files_are_those_of_an_install_without_the_worker() -> None:
    stays, goes = worker("api", listen=Listen.UNIX), worker("web", listen=Listen.UNIX)
    before = {file.path.name: file.content for file in case(stays, goes).files()}
    after = {file.path.name: file.content for file in case(stays).files()}
    accounts = {"worker-web"}
    assert shared.without_groups(before["tq-proxy@.service"], accounts) == after["tq-proxy@.service"]
    sysusers = "tqunits-workers.conf"
    assert shared.without_accounts(before[sysusers], accounts) == after[sysusers]

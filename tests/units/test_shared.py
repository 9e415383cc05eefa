"""What the shared files are without workers that leave; test_plan.py has those that stay."""

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


def test_the_files_are_those_of_an_install_without_the_worker() -> None:
    stays, goes = worker("api", listen=Listen.UNIX), worker("web", listen=Listen.UNIX)
    before = {file.path.name: file.content for file in case(stays, goes).files()}
    after = {file.path.name: file.content for file in case(stays).files()}
    accounts = {"worker-web"}
    assert shared.without_groups(before["tq-proxy@.service"], accounts) == after["tq-proxy@.service"]
    sysusers = "tqunits-workers.conf"
    assert shared.without_accounts(before[sysusers], accounts) == after[sysusers]

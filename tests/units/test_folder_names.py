"""A worker's folder may have any name that can be written in a unit. If a name can not, only that
worker is refused."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest

from tqunits.model import Listen, Worker
from tqunits.units.rendering import refusals

from .cases import case, target, worker


def placed(folder: str, **changes: Any) -> Worker:
    return worker("api", folder=PurePosixPath(folder), command=("bin/api",), **changes)


def program(of: Worker) -> str:
    return next(line for line in case(of).drop_in("api").splitlines() if line.startswith("ExecStart=/"))


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("/srv/a b", 'ExecStart="/srv/a b/bin/api"'),
        ("/srv/100%", 'ExecStart="/srv/100%%/bin/api"'),
        ("/srv/a$b", '-- "/srv/a$$b/bin/api"'),
        ("/srv/it's", '-- "/srv/it\'s/bin/api"'),
        ('/srv/"a"', '-- "/srv/\\"a\\"/bin/api"'),
        ("/srv/a\\b", '-- "/srv/a\\\\b/bin/api"'),
    ],
)
def test_a_program_that_systemd_would_not_run_by_its_path_is_launched(folder: str, expected: str) -> None:
    line = program(placed(folder)) if "--" in expected else case(placed(folder)).drop_in("api")
    assert expected in line
    assert ("launch.py" in line) == ("--" in expected)


@pytest.mark.parametrize("folder", ["/srv/a ", "/srv/a\\"])
def test_a_folders_name_may_end_in_what_a_line_would_lose(folder: str) -> None:
    assert f"WorkingDirectory={folder}/\n" in case(placed(folder)).drop_in("api")


@pytest.mark.parametrize(
    ("folder", "systemd", "refused"),
    [
        ("/home/ada's/api", 252, None),
        ("/srv/ada's/api", 257, None),
        ("/home/ada's/api", 257, "can not mount a path with a quote"),
        ("/srv/a\nb", 252, "a unit file can not hold it"),
        ("/srv/a\udcffb", 257, "a unit file can not hold it"),
    ],
)
@pytest.mark.parametrize("listen", Listen)
def test_what_no_unit_can_say_is_one_workers_refusal(
    folder: str, systemd: int, refused: str | None, listen: Listen
) -> None:
    odd, plain = placed(folder, listen=listen), worker("web")
    found = list(refusals(case(odd, plain).configuration, target(systemd=systemd)))
    assert [each.worker for each in found] == (["api"] if refused else [])
    assert all(refused is not None and refused in each.message and each.hint for each in found)

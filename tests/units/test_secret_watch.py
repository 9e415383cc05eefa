"""The watch over secrets and environment files: which files, and for whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tqunits.model import Enabled, Mode, Worker
from tqunits.units import name, secret_watch
from tqunits.units.unitfile import Copy

from .cases import Case, case, worker

BASE = worker("x").watch
FILES = {"credentials": (("key", "/etc/a key"), ("half", "/etc/100%")), "environment_file": ("/etc/api.env",)}


def given(name: str = "api", *, enabled: bool | None = True, **changes: object) -> Worker:
    return worker(name, watch=replace(BASE, enabled=enabled), **{**FILES, **changes})


def unit(one: Case) -> str | None:
    return next((file.content for file in one.files() if file.unit == name.SECRET_UNITS[0]), None)


def watched_by(text: str | None) -> list[str]:
    lines = (text or "").splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith("PathChanged=")]


@pytest.mark.parametrize(
    ("enabled", "mode", "watched"),
    [
        (None, Mode.DEVELOPMENT, True),
        (None, Mode.PRODUCTION, False),
        (True, Mode.PRODUCTION, True),
        (False, Mode.DEVELOPMENT, False),
    ],
)
def test_a_watch_is_on_where_it_is_asked_for_or_in_development(
    mode: Mode, *, enabled: bool | None, watched: bool
) -> None:
    one = case(given(enabled=enabled), mode=mode)
    assert (unit(one) is not None) is watched


def test_each_file_is_watched_once_and_quoted() -> None:
    text = unit(case(given("api"), given("web", credentials=(("other", "/etc/a key"),))))
    assert watched_by(text) == ["/etc", "/etc/100%%", "/etc/a key", "/etc/api.env"]


def test_a_worker_that_is_switched_off_or_has_no_files_is_not_watched() -> None:
    assert unit(case(given(enabled=True, credentials=(), environment_file=()), worker("web"))) is None
    off = given(enabled=True)
    assert unit(case(replace(off, enabled=Enabled.FALSE))) is None


def test_a_users_own_manager_has_no_such_watch() -> None:
    assert unit(case(given(), user_mode=True)) is None


def test_a_file_that_is_copied_is_not_watched() -> None:
    """PID 1 would follow a link there with root's rights."""
    copies = {"api": (Copy("key", "/etc/a key", 0), Copy("environment-1", "/etc/api.env", 0))}
    assert secret_watch.watched([given()], Mode.PRODUCTION, copies) == {"api": ("/etc/100%",)}


def test_a_worker_that_is_not_rendered_keeps_what_is_watched_for_it() -> None:
    both, alone = case(given("api"), given("web", environment_file=("/etc/web 5%.env",))), case(given("api"))
    before = unit(both) or ""
    assert secret_watch.noted(before) == {
        "api": ("/etc/api.env", "/etc/a key", "/etc/100%"),
        "web": ("/etc/web 5%.env", "/etc/a key", "/etc/100%"),
    }
    kept = secret_watch.staying(before, {"web", "gone"})
    again = secret_watch.watched(alone.configuration.workers, Mode.PRODUCTION, {})
    assert [path.replace("%", "%%") for path in secret_watch.paths({**kept, **again})] == watched_by(before)
    assert before.endswith(secret_watch.notes({**kept, **again}))


def test_every_value_of_the_unit_is_a_directive_of_a_path_unit() -> None:
    """The section that tqunits reads back is one that systemd ignores."""
    text = unit(case(given())) or ""
    sections = [line for line in text.splitlines() if line.startswith("[")]
    assert sections == ["[Unit]", "[Path]", "[Install]", f"[{secret_watch.WATCH}]"]

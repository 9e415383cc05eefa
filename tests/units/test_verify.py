"""systemd's own checks: every rendered tree is accepted without a message, and every sandbox has
the promised score."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tqunits.model import Listen, Profile, Relaxation
from tqunits.system.process import run
from tqunits.units import name
from units import analyze
from units.cases import CASES, Case, case, in_home, profiles, samples, sandbox, worker

SYSTEM_CASES = {key: c for key, c in CASES.items() if not c.target.user_mode}
OWN_VERSION = int(run(["systemctl", "--version"]).stdout.split()[1])
THRESHOLD = {Profile.STRICT: 0.9, Profile.STANDARD: 1.1, Profile.JIT: 1.1, Profile.LEGACY: 2.9}
SINCE_254 = ("RestartSteps", "RestartMaxDelaySec")


def unexpected(stderr: str) -> list[str]:
    """The messages of this host's systemd, without those about directives that it is too old
    for."""
    known = SINCE_254 if OWN_VERSION < 254 else ()
    return [line for line in stderr.splitlines() if not any(f"Unknown key '{key}' in" in line for key in known)]


@pytest.mark.parametrize("key", SYSTEM_CASES)
def test_verify_has_nothing_to_say(key: str, tmp_path: Path) -> None:
    rendered_for = SYSTEM_CASES[key].target.systemd
    done = analyze.verify(SYSTEM_CASES[key].files(), tmp_path)
    if rendered_for <= OWN_VERSION:
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert unexpected(done.stderr) == []


def test_verify_has_nothing_to_say_in_a_users_manager(tmp_path: Path) -> None:
    program = tmp_path / "bin/serve"
    program.parent.mkdir()
    program.touch(0o755)
    done = analyze.verify_user(in_home(tmp_path).files(), tmp_path / "units")
    assert (done.returncode, done.stderr) == (0, "")


def test_verify_would_complain(tmp_path: Path) -> None:
    """Proves that the tests above can fail: the same check with one wrong value."""
    broken = worker("api", unit=(("Service", "Nice", "many"),))
    done = analyze.verify(case(broken).files(), tmp_path)
    assert done.returncode == 1
    assert "Failed to parse nice priority 'many'" in done.stderr


@pytest.mark.parametrize("systemd", [252, 257])
def test_each_profile_keeps_its_exposure(systemd: int, tmp_path: Path) -> None:
    scores = exposures(case(*profiles(), systemd=systemd), tmp_path)
    assert {p: score for p in Profile if (score := scores[name.service(p.value)]) > THRESHOLD[p]} == {}


def test_who_may_give_its_own_socket_to_itself_is_exposed_a_tenth_more(tmp_path: Path) -> None:
    scores = exposures(case(*(replace(each, listen=Listen.UNIX, port=None) for each in profiles())), tmp_path)
    assert {p: score for p in Profile if (score := scores[name.service(p.value)]) > THRESHOLD[p] + 0.11} == {}


def test_samples_keep_the_exposure_of_their_profile(tmp_path: Path) -> None:
    assert {unit: score for unit, score in exposures(case(*samples()), tmp_path).items() if score > 1.5} == {}


def test_the_router_is_exposed_no_more_than_a_strict_worker(tmp_path: Path) -> None:
    assert exposures(case(), tmp_path)[name.proxy(1)] <= THRESHOLD[Profile.STRICT]


@pytest.mark.parametrize("profile", [Profile.STRICT, Profile.STANDARD, Profile.JIT])
def test_no_single_relaxation_costs_more_than_half_a_point(profile: Profile, tmp_path: Path) -> None:
    whole = worker("whole", sandbox=sandbox(profile))
    holes = [worker(hole.value, sandbox=sandbox(profile, hole)) for hole in Relaxation]
    scores = exposures(case(whole, *holes), tmp_path)
    base = scores[name.service("whole")]
    assert all(base <= score <= base + 0.5 for unit, score in scores.items() if name.worker_of(unit))


def test_the_watch_over_the_certificate_is_exposed_little(tmp_path: Path) -> None:
    """It runs as root, because only root may restart the router."""
    files = CASES["options"].files()
    unit = name.CERTIFICATE_UNITS[1]
    assert analyze.exposures(files, tmp_path, [unit])[unit] <= THRESHOLD[Profile.LEGACY]


def test_the_watch_over_secrets_is_exposed_little(tmp_path: Path) -> None:
    unit = name.SECRET_UNITS[1]
    assert analyze.exposures(CASES["options"].files(), tmp_path, [unit])[unit] <= THRESHOLD[Profile.LEGACY]


def test_a_build_is_exposed_little_more_than_a_strict_worker(tmp_path: Path) -> None:
    scores = analyze.exposures(CASES["samples-252"].files(), tmp_path, [name.build("api"), name.fetch("api")])
    assert scores[name.build("api")] <= 1.0  # it may choose its processors: all of them but one
    assert scores[name.fetch("api")] <= 1.4  # and has the network, and netlink


def exposures(rendered: Case, root: Path) -> dict[str, float]:
    units = [name.service(w.name) for w in rendered.configuration.workers if w.command]
    return dict(analyze.exposures(rendered.files(), root, [*units, name.proxy(1)]))


def test_sysusers_accepts_the_users(tmp_path: Path) -> None:
    analyze.write_tree(tmp_path, CASES["options"].files())
    done = run(["systemd-sysusers", "--dry-run", str(tmp_path / "etc/sysusers.d/tqunits-workers.conf")])
    assert done.returncode == 0, done.stderr
    assert "worker-unix" in done.stdout + done.stderr

"""`tqunits render` and `tqunits security`, run as programs over a folder of YAML."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tqunits.system.process import Completed, run

STRICT = "path: /tight\ntype: python\ncommand: [python3, main.py]\nsandbox: strict\n"
LEGACY = "path: /loose\ntype: exec\ncommand: [bin/x]\nsandbox: legacy\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for name, text in {"tight": STRICT, "loose": LEGACY}.items():
        folder = tmp_path / "workers" / name / "config"
        folder.mkdir(parents=True)
        (folder / "worker.yaml").write_text(text)
    return tmp_path


def tqunits(site: Path, *arguments: str) -> Completed:
    return run([sys.executable, "-m", "tqunits", "-C", str(site), *arguments])


def test_render_prints_every_file_after_its_path(site: Path) -> None:
    done = tqunits(site, "render")
    assert done.returncode == 0, done.stderr
    for path in ("tq.target", "tq-worker@.service", "tq-worker@tight.service.d/10-tqunits.conf"):
        assert f"# /etc/systemd/system/{path}\n# Rendered by tqunits from " in done.stdout


@pytest.mark.parametrize("name", ["tight", "tq-worker@tight.service"])
def test_render_of_one_worker_prints_its_files_only(site: Path, name: str) -> None:
    done = tqunits(site, "render", name)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("# /")] == [
        "# /etc/systemd/system/run-tqunits-workers-tight.mount",
        "# /etc/systemd/system/run-tqunits-workers-tight:2.mount",  # its surge's
        "# /etc/systemd/system/tq-backoff@tight:2.service.d/10-tqunits.conf",
        "# /etc/systemd/system/tq-failure@tight:2.service.d/10-tqunits.conf",
        "# /etc/systemd/system/tq-worker@tight.service.d/10-tqunits.conf",
        "# /etc/systemd/system/tq-worker@tight:2.service.d/10-tqunits.conf",
    ]


def test_render_writes_a_tree_for_another_systemd(site: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = tqunits(site, "render", "--out", str(out), "--systemd", "257")
    assert (done.returncode, done.stdout) == (0, "")
    assert "RestartSteps=" in (out / "etc/systemd/system/tq-proxy@.service").read_text()


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["render", "tigth"], 4, "'tight'"),
        (["render", "--systemd", "250"], 2, "252"),
        (["security", "--threshold", "high"], 2, "0 to 10"),
        (["security", "nobody"], 4, "nobody"),
    ],
    ids=["unknown name", "old systemd", "threshold", "unknown worker"],
)
def test_a_wrong_command_line_is_explained(site: Path, arguments: list[str], status: int, says: str) -> None:
    done = tqunits(site, *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert says in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status"), [([], 0), (["--threshold", "1.5"], 1), (["--threshold", "1.5", "tight"], 0)]
)
def test_security_fails_above_its_threshold(site: Path, arguments: list[str], status: int) -> None:
    assert tqunits(site, "security", *arguments).returncode == status


def test_security_lists_profile_and_exposure(site: Path) -> None:
    workers = json.loads(tqunits(site, "security", "--json").stdout)["workers"]
    assert [(w["name"], w["profile"]) for w in workers] == [("loose", "legacy"), ("tight", "strict")]
    assert workers[1]["exposure"] <= 1.0 < workers[0]["exposure"] <= 3.0

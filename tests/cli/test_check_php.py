"""PHP's own server ends at once if its folder is missing; `check` reports that before an install
does."""

from __future__ import annotations

from pathlib import Path

import pytest
from checking import check
from config.parsing import valid

from tqunits.host.lacking import lacking

PRESET = "path: /api\ntype: php\n"
OWN = 'path: /api\ncommand: [env, A=b, php8.2, -d, x=-t, -t, web, -S, "127.0.0.1:${WORKER_PORT}"]\n'

MISSING = {
    "preset": (PRESET, "1:1", "php.document_root: its folder public does not exist, which php serves"),
    "named": (
        PRESET + "php:\n  document_root: web\n",
        "4:3",
        "php.document_root: its folder web does not exist, which php serves",
    ),
    "in one's own command": (OWN, "2:1", "command: its folder web does not exist, which php serves"),
}
THERE = {
    "made": PRESET + "php: {document_root: config}\n",
    "made by a build": PRESET + "build: [make]\n",
    "not known": "path: /api\ncommand: [php, -S, '127.0.0.1:1', -t, '${STATE_DIRECTORY}']\n",
    "of a script": "path: /api\ncommand: [php, artisan, serve, -S, -t, web]\n",
    "no server": "path: /api\ncommand: [php, -t, web, x.php]\n",
    "its own folder": "path: /api\ncommand: [php, -S, '127.0.0.1:1', router.php]\n",
    "another program": "path: /api\ncommand: [sh, -S, a, -t, web]\n",
}


@pytest.mark.parametrize(("yaml", "place", "message"), MISSING.values(), ids=MISSING)
def test_a_folder_that_is_not_there_is_told(
    yaml: str, place: str, message: str, roots: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = roots / "workers/api/config/worker.yaml"
    said = check(roots, yaml, capsys)
    assert f"{path}:{place}: warning: {message}\n    hint: make the folder, with index.php in it, or name" in said


@pytest.mark.parametrize("yaml", THERE.values(), ids=THERE)
def test_nothing_is_told_of_any_other(yaml: str, roots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "document_root" not in (said := check(roots, yaml, capsys))
    assert "which php serves" not in said


def test_an_install_leaves_it_out() -> None:
    lack = lacking(valid(PRESET))
    assert lack is not None
    assert lack.reason == "its folder public does not exist, which php serves"

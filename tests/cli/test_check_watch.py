"""`check` tells of a path of `watch` that is not there: nothing would be watched of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from checking import check

EXEC = "path: /api\ntype: exec\ncommand: [bin/x]\n"
STATIC = "path: /api\ntype: static\n"

MISSING = {
    "in a list": (EXEC + "watch: {paths: [config, src]}\n", "4:25", "src"),
    "alone": (EXEC + "watch:\n  paths: src/a\n", "5:3", "src/a"),
    "below a file": (EXEC + "watch: {paths: config/worker.yaml/x}\n", "4:9", "config/worker.yaml/x"),
    "of files alone": (STATIC + "watch: {paths: [src]}\n", "3:17", "src"),
}
THERE = {
    "not written": (EXEC, ""),
    "all": (EXEC + "watch: {paths: .}\n", ""),
    "a folder and a file": (EXEC + "watch: {paths: [config, config/worker.yaml]}\n", ""),
    "what is not watched anyway": (EXEC + "watch: {live: [views], ignore: [a]}\n", ""),
    "of all workers": (EXEC, "defaults: {watch: {paths: [src]}}\n"),
}


@pytest.mark.parametrize(("yaml", "place", "path"), MISSING.values(), ids=MISSING)
def test_a_path_that_is_not_there_is_told(
    yaml: str, place: str, path: str, roots: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = check(roots, yaml, capsys)
    folder = roots / "workers/api"
    message = f"watch.paths: {path} does not exist in {folder}, so nothing of it is watched yet"
    told = " ".join(said.split())
    assert f"{folder}/config/worker.yaml:{place}: warning: {message} hint: make it, or leave it out" in told


@pytest.mark.parametrize(("yaml", "common"), THERE.values(), ids=THERE)
def test_nothing_is_told_of_any_other(yaml: str, common: str, roots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = check(roots, yaml, capsys, common=common)
    assert "watch" not in said

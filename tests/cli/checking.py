"""What `check` says of one worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tqunits.cli.main import main


def check(root: Path, yaml: str, capsys: pytest.CaptureFixture[str], *, common: str = "") -> str:
    """All that it says; nothing of it is an error. `common`: tqunits.yaml."""
    for name, text in (("config/tqunits.yaml", common), ("workers/api/config/worker.yaml", yaml)):
        path = root / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert main(["-C", str(root), "--trust", "check"]) == 0
    output = capsys.readouterr()
    return output.out + output.err

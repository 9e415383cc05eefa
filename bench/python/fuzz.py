"""Fuzz the HTTP core, led by coverage, for as long as you like.

    python3 -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install atheris
    /tmp/fuzz/bin/python -m bench.python fuzz TARGET [-max_total_time=60] [libFuzzer option]...

TARGET is request, response, alike, chunks or preface. It stops at the first promise of
tests/http/fuzzing.py that does not hold, and writes the input to a file.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

from bench.python.interpreted import interpret

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "http"))

interpret()  # coverage is of bytecode
with atheris.instrument_imports(include=["tqunits"]):
    import fuzzing


def main() -> None:
    """Run one target."""
    name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if name not in fuzzing.TARGETS:
        sys.exit(__doc__)
    hold, beginnings = fuzzing.TARGETS[name]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as corpus:
        for number, data in enumerate(beginnings):
            (Path(corpus) / str(number)).write_bytes(data)
        atheris.Setup([*sys.argv, "-max_len=600", corpus], hold)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

"""Whether tqunits.yaml and its drop-ins are what is installed, without reading their YAML: the unit
tq.target has their digest (units/rendering.py).

The files are found and read as an install does it (sources.py).
"""

from __future__ import annotations

import errno
from pathlib import Path

from tqunits.config.source_digest import source_digest
from tqunits.errors import TqunitsError
from tqunits.host.configuration_files import CONFIGURATION, DROP_INS, MAX_BYTES, MAX_DROP_INS, is_drop_in
from tqunits.layout import Layout
from tqunits.system import files
from tqunits.units import name, unitfile


def installed_digest(layout: Layout) -> str | None:
    """The digest of the files that are installed; None: nothing is, or an earlier release has not
    noted it."""
    text = files.read_text_if_exists(Path(layout.units / name.TARGET))
    return None if text is None else unitfile.last_value(text, unitfile.SERVER, unitfile.SOURCE_HASH)


def present_digest(layout: Layout) -> str:
    """The digest of the files as they are now. Raises TqunitsError for one that can not be read."""
    found = (_content(path) for path in present_files(layout))
    return source_digest(content for content in found if content is not None)


def present_files(layout: Layout) -> list[Path]:
    """tqunits.yaml, which may be missing, and the drop-ins that are there. Raises TqunitsError for
    a folder that can not be read."""
    folder = Path(layout.configuration)
    return [folder / CONFIGURATION, *_drop_ins(folder / DROP_INS)]


def _drop_ins(folder: Path) -> list[Path]:
    try:
        found = sorted(each for each in folder.iterdir() if is_drop_in(each.name))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _unreadable(folder, error) from None
    return found[:MAX_DROP_INS]


def _content(path: Path) -> bytes | None:
    try:
        return files.read_regular(path, MAX_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> TqunitsError:
    hint = f"chmod o+rX {path}" if error.errno in {errno.EACCES, errno.EPERM} else None
    return TqunitsError(f"the manager can not read {path}: {error.strerror}", hint=hint)

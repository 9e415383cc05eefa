"""The releases of a worker on disk, and what each of them was made from.

    /var/lib/tqunits/releases/NAME/
        ID/           a release: root's, never changed once it has this name
        ID.json       its manifest (lifecycle/release.py)
        runs/K        a link to ../ID: what instance K runs at its next start (release_links.py)
        stable        a link to ID: the last release that was wholly healthy
        inputs        what the sources looked like, for the next comparison (release_inputs.py)
        lock          of whoever changes something here (release_store.py)

Root and the manager may read all of it; everybody may enter a release, if he could enter what it is
a copy of (release_access.py). An instance sees its release as its own folder. A release is there
when both its folder and its manifest are: the manifest is written first, and the rename of the
folder makes the release."""

from __future__ import annotations

from pathlib import Path

from tqunits.errors import TqunitsError
from tqunits.layout import Layout
from tqunits.lifecycle.release import MAX_DOCUMENT, Manifest, is_release_id, parse_manifest
from tqunits.printable import printable
from tqunits.system import files


class NoSuchRelease(TqunitsError):
    """The worker has no whole release with this ID."""


def folder_of(worker: str, layout: Layout) -> Path:
    """The folder of a worker's releases, whether or not it exists."""
    return Path(layout.state, "releases", worker)


def manifest_of(layout: Layout, worker: str, release: str) -> Path:
    """The file of a release's manifest."""
    return folder_of(worker, layout) / f"{release}.json"


def read(layout: Layout, worker: str, release: str) -> Manifest:
    """The manifest of a release that is there. Raises NoSuchRelease, and OSError."""
    if not is_release_id(release) or not (folder_of(worker, layout) / release).is_dir():
        raise _none(worker, release, "")
    try:
        manifest = parse_manifest(files.read_regular(manifest_of(layout, worker, release), MAX_DOCUMENT))
    except FileNotFoundError:
        raise _none(worker, release, "it has no manifest") from None
    except (ValueError, TqunitsError) as error:
        raise _none(worker, release, f"its manifest can not be read: {error}") from None
    if (manifest.worker, manifest.release) != (worker, release):
        raise _none(worker, release, f"its manifest is that of {manifest.release} of {manifest.worker}")
    return manifest


def all_of(layout: Layout, worker: str) -> tuple[Manifest, ...]:
    """The manifests of all releases, the newest first. What is not a whole release is left out.
    Raises OSError."""
    found = []
    for path in folder_of(worker, layout).glob("*.json"):
        try:
            found.append(read(layout, worker, path.stem))
        except NoSuchRelease:
            continue
    return tuple(sorted(found, key=lambda each: (each.made_us, each.release), reverse=True))


def release_folders(layout: Layout, worker: str) -> tuple[Path, ...]:
    """The folders of all releases, also of one whose manifest is broken. Raises OSError."""
    try:
        return tuple(path for path in sorted(folder_of(worker, layout).iterdir()) if is_release_id(path.name))
    except FileNotFoundError:
        return ()


def _none(worker: str, release: str, why: str) -> NoSuchRelease:
    because = f": {why}" if why else ""
    return NoSuchRelease(
        f"{worker} has no release {printable(release)[:60]}{because}", hint=f"'tqunits history {worker}' lists them"
    )

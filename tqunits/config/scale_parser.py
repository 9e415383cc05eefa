"""Parses the setting `scale` of tqunits.yaml: root's own word for how many instances a worker has.

It is a mapping from workers' names to numbers. A name without a worker is no mistake, as in
`grants`: the folder may come tomorrow.
"""

from __future__ import annotations

from collections.abc import Mapping

from tqunits.config import words
from tqunits.config.nodes import Node
from tqunits.config.parsers import collected, entries_of, instances, scalar


def scale(node: Node) -> Mapping[str, int]:
    """Worker's name -> how many instances."""
    name, number = scalar(words.worker_name), scalar(instances)
    entries = entries_of(node, "a mapping of workers' names to numbers")
    return collected(entries, lambda key, value: (name(key), number(value)))

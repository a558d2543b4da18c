"""A few small valid texts of every format in `formats.READERS`, in a module for each folder of readers.

Whoever adds a reader adds its texts there, under the name of the format: test_hostile.py damages each of them in many
ways, and test_detection.py sees that no other reader takes it for its own. Keep a text below about 2,000 characters,
write it for these tables (none of a real site's), and let it use what the grammar has: comments, lists, several tiers,
GUIDs. Keep the formats sorted by name, so that two people who add one each do not meet in the same line.
"""

from __future__ import annotations

from tests.topologies.examples import cables, clouds, hosts, infiniband, schedulers, simulators

_FOLDERS = (cables, clouds, hosts, infiniband, schedulers, simulators)
EXAMPLES: dict[str, tuple[str, ...]] = dict(sorted(item for folder in _FOLDERS for item in folder.EXAMPLES.items()))


def all_examples() -> list[tuple[str, str]]:
    """Return (format, text) of every example."""
    return [(name, text) for name, texts in EXAMPLES.items() for text in texts]

"""What users without root can collect on the hosts of an allocation: the script that does, and the reader."""

from __future__ import annotations

from importlib import resources


def script() -> str:
    """POSIX shell script that writes one file a host; `topoplan import FOLDER` merges them."""
    return (resources.files("topoplan.topologies") / "collect" / "collect.sh").read_text(encoding="utf-8")

"""What a launcher can express, so that solvers plan within it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Freedom(IntEnum):
    """How much of a rank placement a launcher obeys; each level includes those before it."""

    HOSTS = 1  # whole hosts in a chosen order, consecutive ranks on each, local rank i on GPU i
    GPUS = 2  # as HOSTS, and the order of the GPUs inside each host
    RANKS = 3  # any rank on any GPU

    @property
    def words(self) -> str:
        """For people."""
        return ("whole hosts in any order", "hosts in any order, and their GPUs", "any rank on any GPU")[self - 1]


@dataclass(frozen=True, slots=True)
class Capability:
    """What the launchers of a plan can express together.

    Parameters
    ----------
    freedom
        The least of the launchers'.
    launchers
        Their names, for messages.
    """

    freedom: Freedom = Freedom.RANKS
    launchers: tuple[str, ...] = ()

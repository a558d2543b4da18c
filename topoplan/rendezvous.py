"""What torch loads in every torchrun of an environment that has topoplan: it costs nothing until it is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def handler_creator() -> Callable[[Any], Any]:
    """Maker of the handler of `torchrun --rdzv-backend=topoplan` (torch's entry point group torchrun.handlers)."""
    return _create


def _create(params: Any) -> Any:
    from topoplan.launchers.portable.rendezvous import create  # noqa: PLC0415

    return create(params)

"""Reader of ibnetdiscover's output: an InfiniBand fabric as its subnet shows it."""

from __future__ import annotations

import re

from topoplan.model.fabric import Fabric
from topoplan.topologies.readers.infiniband.ib_dump import parse
from topoplan.topologies.readers.infiniband.subnet import subnet_fabric
from topoplan.topologies.reading import SNIFF_CHARS, ReadOptions

_RECORD = re.compile(r'^[ \t]*(?:(?:Switch|Ca|Rt|Hca)[ \t]+\d+[ \t]+"|(?:switch|ca|rt)guid=0x)', re.MULTILINE)


def sniff(text: str) -> bool:
    """Whether `text` has records of nodes; ibsim's net files too, so that `read` can say what is wrong with them."""
    return _RECORD.search(text, 0, SNIFF_CHARS) is not None


def read(text: str, path: str, options: ReadOptions) -> Fabric:
    """Fabric of an ibnetdiscover output; see `subnet_fabric`.

    Raises
    ------
    InputError
        Text that is not in the grammar, is cut or contradicts itself, or names no host at all.
    """
    return subnet_fabric(parse(text, path), path, options)

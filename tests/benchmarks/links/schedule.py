"""What every rank does in a step: the very traffic that topoplan prices, in lines that the step programs read.

phase NAME
allreduce BYTES RANK RANK ...    a ring over these ranks, in this order
send SOURCE TARGET BYTES         all sends of a phase start together
"""

from __future__ import annotations

import numpy as np

from topoplan.model.traffic import Collective, Traffic

RINGS = ("all_gather", "reduce_scatter", "all_reduce")
FLOAT = 4  # bytes: payloads are whole floats


def schedule_of(traffic: Traffic) -> str:
    """Lines of one step, axis by axis, from tensor parallel traffic outwards."""
    lines: list[str] = []
    for a, name in enumerate(traffic.axes):
        lines.append(f"phase {name}")
        collectives = [c for c in traffic.collectives if c.axis == name]
        if all(c.op in RINGS for c in collectives):
            lines += _rings(traffic, collectives[0], a)
        else:
            flows = traffic.by_axis[a]
            triples = zip(
                traffic.src[flows].tolist(), traffic.dst[flows].tolist(), traffic.bytes[flows].tolist(), strict=True
            )
            lines += [f"send {src} {dst} {max(1, round(size / FLOAT)) * FLOAT}" for src, dst, size in triples]
    return "\n".join(lines) + "\n"


def _rings(traffic: Traffic, collective: Collective, axis: int) -> list[str]:
    """All-reduces whose rings carry the bytes of the flows: each member sends 2 (n - 1) / n of the payload."""
    flows = traffic.by_axis[axis]
    sent = np.zeros(traffic.ranks)
    np.add.at(sent, traffic.src[flows], traffic.bytes[flows])
    lines = []
    for group in collective.groups.tolist():
        payload = sent[group[0]] * len(group) / (2 * (len(group) - 1))
        floats = max(len(group), round(payload / FLOAT))
        lines.append(f"allreduce {floats * FLOAT} {' '.join(map(str, group))}")
    return lines

"""What lines of `Fabric.assumed` are about, in the words that readers use."""

from __future__ import annotations

import re

import pytest

from tests.topologies.examples import EXAMPLES
from topoplan.topologies import formats
from topoplan.topologies.hosts import guess
from topoplan.topologies.merge.parts import (
    CABLES,
    GPUS,
    NIC_SPEED,
    NO_NETWORK,
    RAILS,
    ROUTING,
    SCALE_UP,
    UPLINKS,
    some,
    subjects_of,
)


@pytest.mark.parametrize(
    ("line", "subjects"),
    [
        ("all hosts: 8 GPUs, each with a NIC of 400 Gb/s (give the host type if not so)", {GPUS, NIC_SPEED}),
        ("GPUs of a host: one for each of its adapters, in the adapters' order", {GPUS}),
        ("GPUs and scale-up bandwidth of all hosts: hgx, as the user said; their NICs as cabled", {GPUS, SCALE_UP}),
        ("GPUs and scale-up bandwidth of all hosts: server, as their devices say; their NICs as cabled", {SCALE_UP}),
        (guess.told_of("p5.48xlarge"), {NIC_SPEED, SCALE_UP}),
        ("8 GPUs share 2 NICs, as evenly as the nearest of each allow", set()),
        ("bandwidth of NICs: 400 Gb/s each, as in the maker's own hosts with such GPUs", {NIC_SPEED}),
        ("speed of 4 cables: 400 Gb/s, assumed, as the file has no speeds", {NIC_SPEED, CABLES}),
        ("rails of NICs: in the order of their device names, those of one GPU on the same rail", {RAILS}),
        ("scale-up bandwidth of a GPU: 450 GB/s each direction, 18 links of 25 GB/s (NVLink 4, nominal)", {SCALE_UP}),
        ("uplinks of all groups are not given: 1:1", {UPLINKS}),
        ("the network between the hosts: none is told, all hosts are equally far from each other", {NO_NETWORK}),
        ("routing: ecmp, as the file does not tell InfiniBand from Ethernet", {ROUTING}),
        ("n1 (scontrol-topology): routing: ecmp, as the file does not tell InfiniBand from Ethernet", {ROUTING}),
        ("n1 (scontrol-topology): all hosts: 8 GPUs, each with a NIC of 400 Gb/s", {GPUS, NIC_SPEED}),
        ("a node: one GPU with one NIC (give the host type if not so)", {GPUS}),
    ],
)
def test_subjects(line: str, subjects: set[str]) -> None:
    assert subjects_of(line) == subjects


# How lines begin that are about nothing that merging decides.
_OTHER = ("blocks: ", "bandwidths: ", "group above: ", "network: ", "NVLink is not used", "rings: ", "torus ",
          "the machine whose neighbours", "what is inside ")  # fmt: skip


@pytest.mark.parametrize("reader", sorted(EXAMPLES))
def test_lines_of_every_reader_are_understood(reader: str) -> None:
    for text in EXAMPLES[reader]:
        for line in formats.read(text, name="x", format=reader).assumed:
            bare = re.sub(r"^\S+ \([\w-]+\): ", "", line)
            known = subjects_of(line) or bare.startswith(_OTHER) or re.match(r"\d+ GPUs share ", bare)
            assert known, f"say in merge/parts.py what this is about, or here that it is about nothing: {line}"


def test_names_in_messages() -> None:
    assert some(["n10", "n9", "n9"]) == "n[9-10]"
    assert some([f"host-{i * i}" for i in range(40)]) == "host-0, host-1, host-4 and 37 more"

"""Host types in Fabric YAML: what a counted list of NICs cannot say."""

import pytest

from topoplan.errors import InputError
from topoplan.files.fabric_text import format_fabric
from topoplan.files.fabric_yaml import parse_fabric

TEXT = """
apiVersion: topoplan/v1
kind: Fabric
name: box
routing: ecmp
host_types:
  box:
    gpus: 4
    scale_up: {domain: 2 GPUs, domains: [[0, 3], [1, 2]], bandwidth: 50 GB/s}
    nics:
      - {name: mlx5_0, rail: 0, gpu: 0, also: [3], bandwidth: 200 Gb/s}
      - {name: mlx5_1, rail: 0, gpu: 0, plane: 1, bandwidth: 200 Gb/s}
      - {name: mlx5_2, rail: 1, gpu: 1, also: [2], bandwidth: 200 Gb/s}
    other_nics: [{name: eth0, network: storage, bandwidth: 25 Gb/s}, {name: eth1}]
    switches: [[0, 3], [1], [2]]
hosts: [{names: a, type: box}]
"""
MIG = "gpus: 7, slices: [7], scale_up: {domain: none}, nics: {count: 1, bandwidth: 100 Gb/s}"


def test_every_part_is_read_and_written_again() -> None:
    fabric = parse_fabric(TEXT)
    kind = fabric.host_types[0]
    assert kind.domain_of_gpu == (0, 1, 1, 0)
    assert kind.nics_of_gpu == ((0, 1), (2,), (2,), (0,))
    assert [nic.plane for nic in kind.nics] == [0, 1, 0]
    assert kind.switches == (0, 1, 2, 0)
    assert [(nic.name, nic.network, nic.bandwidth_bytes_per_s) for nic in kind.other_nics] == [
        ("eth0", "storage", 25e9 / 8),
        ("eth1", "front-end", 0.0),
    ]
    assert parse_fabric(format_fabric(fabric)).host_types == fabric.host_types


def test_slices_are_places() -> None:
    text = TEXT[: TEXT.index("  box:\n    gpus")] + f"  box: {{{MIG}}}\n" + TEXT[TEXT.index("hosts:") :]
    fabric = parse_fabric(text)
    assert (fabric.gpus, fabric.host_types[0].slices) == (7, (7,))
    assert parse_fabric(format_fabric(fabric)).host_types == fabric.host_types


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("[[0, 3], [1, 2]]", "[[0, 3], [1, 4]]", "GPUs 0 to 3, not 4"),
        ("[[0, 3], [1, 2]]", "[[0, 3], [0, 2]]", "GPU 0 is listed twice"),
        ("[[0, 3], [1, 2]]", "[[0, 1, 3]]", "domain says 2 GPUs"),
        ("also: [3]", "also: [9]", "not 9"),
        ("switches: [[0, 3], [1], [2]]", "slices: [3]", "3 slices are not the 4"),
    ],
)
def test_mistakes_are_told_with_their_place(good: str, bad: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse_fabric(TEXT.replace(good, bad), "box.yaml")
    assert caught.value.place is not None
    assert caught.value.place.line > 0

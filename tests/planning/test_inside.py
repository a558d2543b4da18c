"""Rows that say which NICs each GPU uses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from topoplan.model.host_type import HostType, Nic
from topoplan.planning.inside import gpu_map, gpu_rows, scale_up_text


def host(nics: tuple[Nic, ...], gpus: int = 4, **more: object) -> HostType:
    return HostType("h", gpus, nics, more.pop("joined", gpus), 450e9, **more)  # type: ignore[arg-type]


def shown(kind: HostType) -> list[tuple[str, str, str]]:
    return [(row.gpus, row.nics, row.rails) for row in gpu_rows(kind)]


def test_nics_in_order_share_a_row() -> None:
    plain = host(tuple(Nic(n, 50e9, n) for n in range(4)))
    assert shown(plain) == [("0-3", "NICs 0-3", "0-3")]
    named = host(tuple(Nic(n, 50e9, n, f"mlx5_{n}") for n in range(4)))
    assert shown(named) == [("0-3", "mlx5_[0-3]", "0-3")]
    pairs = host(tuple(Nic(n // 2, 50e9, n // 2, f"mlx5_{n}") for n in range(8)))
    assert shown(pairs) == [("0-3", "mlx5_[0-7] (2 each)", "0-3")]


def test_scrambled_and_shared_nics_stand_by_themselves() -> None:
    order = (2, 0, 1, 3)
    kind = host(tuple(Nic(n, 50e9, gpu, f"mlx5_{n}") for n, gpu in enumerate(order)))
    assert shown(kind) == [("0-1", "mlx5_[1-2]", "1-2"), ("2", "mlx5_0", "0"), ("3", "mlx5_3", "3")]
    shared = host((Nic(0, 50e9, 0, "a", (1,)), Nic(1, 50e9, 2, "b", (3,))))
    assert shown(shared) == [("0-1", "a (shared)", "0"), ("2-3", "b (shared)", "1")]
    unlike = host((Nic(0, 50e9, 0), Nic(1, 25e9, 1), Nic(2, 25e9, 2), Nic(3, 25e9, 3)))
    assert [(row.gpus, row.bandwidth) for row in gpu_rows(unlike)] == [("0", "400 Gb/s"), ("1-3", "200 Gb/s")]


def test_other_networks_and_hosts_without_nics() -> None:
    kind = host((), 2, other_nics=(Nic(0, 12.5e9, 0, "eth0", network="storage"), Nic(0, 0.0, 0, network="front-end")))
    assert shown(kind) == [("0-1", "", ""), ("", "eth0 (storage)", ""), ("", "1 NICs (front-end)", "")]


def test_domains() -> None:
    assert scale_up_text(host((), joined=1)) == "no NVLink between them"
    assert scale_up_text(host(())) == "one NVLink domain, 450 GB/s a GPU"
    kind = host(tuple(Nic(n, 50e9, n) for n in range(4)), joined=2, domains=(0, 1, 1, 0))
    assert scale_up_text(kind) == "NVLink domains of 2, 2, 450 GB/s a GPU"
    assert [row.domain for row in gpu_rows(kind)] == ["0-1"]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=8))
def test_rows_hold_each_gpu_once_and_the_map_says_the_same(nics: list[tuple[int, int, bool]]) -> None:
    kind = host(tuple(Nic(rail, 50e9, gpu, also=((gpu + 1) % 4,) if also else ()) for rail, gpu, also in nics))
    listed = [
        gpu
        for row in gpu_rows(kind)
        for part in row.gpus.split(", ")
        for gpu in range(int(part.split("-")[0]), int(part.split("-")[-1]) + 1)
    ]
    assert listed == [0, 1, 2, 3]
    assert [[nic["index"] for nic in entry["nics"]] for entry in gpu_map(kind)] == [  # type: ignore[attr-defined]
        list(found) for found in kind.nics_of_gpu
    ]

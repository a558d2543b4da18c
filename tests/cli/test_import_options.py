"""topoplan import --names, --nics and --columns: what a user knows and a file of cables does not say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from topoplan.files.fabric_yaml import parse_fabric

CABLES = "Switch;Port;Box;NIC;Speed\nx;1;r1;mlx5_0;400\nx;2;r1;mlx5_1;400\nx;3;r2;mlx5_0;400\nx;4;r2;mlx5_1;400\n"
COLUMNS = "a=Switch,a_port=Port,b=Box,b_port=NIC,bandwidth=Speed:Gb/s"


def test_options_reach_the_reader(files: Path, topoplan: Callable[..., Any]) -> None:
    (files / "cables.csv").write_text(CABLES)
    (files / "names.csv").write_text("name,role,host\nr1,server,node-1\nr2,server,node-2\nx,leaf,\n")
    result = topoplan(
        "import", "cables.csv", "--format", "edges", "--columns", COLUMNS, "--names", "names.csv", "--nics", "mlx5_0"
    )
    assert result.code == 0, result.err
    fabric = parse_fabric(result.out)
    assert fabric.host_names == ("node-1", "node-2")
    assert [(nic.name, nic.bandwidth_bytes_per_s) for nic in fabric.host_types[0].nics] == [("mlx5_0", 50e9)]
    assert "NICs left out, as the selection says: 2 mlx5_1" in result.err


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--columns", "a"), "'a' is not PART=NAME"),
        (("--columns", "a=Switch,a=Box"), "'a=Box' is not PART=NAME"),
        (("--names", "gone.csv"), "gone.csv"),
        (("--columns", COLUMNS, "--nics", "zz"), "no NIC is called 'zz'"),
    ],
)
def test_bad_options(files: Path, topoplan: Callable[..., Any], options: tuple[str, ...], why: str) -> None:
    (files / "cables.csv").write_text(CABLES.replace("Box", "Server").replace(";r", ";node-"))
    options = tuple(option.replace("b=Box", "b=Server") for option in options)
    result = topoplan("import", "cables.csv", "--format", "edges", *options)
    assert result.code == 2
    assert why in result.err
    assert result.out == ""

"""What people have in place of a readable file is called by its name, and what to give instead is said."""

from __future__ import annotations

import pytest

from topoplan.errors import InputError
from topoplan.topologies import formats, unread

TEXTS = {
    "netloc": '{"network_info": {"network_type": 2}, "node_info": {}}',
    "links of UFM": '[{"source_guid": "0002c903007b78b0", "destination_guid": "0002c903007b78b1"}]',
    "table of devices": "name,role,manufacturer,device_type,status\nleaf-1,Leaf,x,y,active\n",
    "XML of AWS": "<DescribeInstanceTopologyResponse><instanceSet/></DescribeInstanceTopologyResponse>",
    "iblinkinfo": "CA: n1 mlx5_0:\n   0x0000000000000011      5    1[  ] ==( 4X    106.25 Gbps Active/  LinkUp)==>"
    '       1    3[  ] "leaf-1" ( )\n',
    "--ports": "CA     5  1 0x0000000000000011 4x NDR - SW     1  3 0x00000000000000a0 ( 'n1 mlx5_0' - 'leaf-1' )\n",
    "--list": 'Ca\t: 0x0000000000000011 ports 1 devid 0x1021 vendid 0x2c9 "n1 mlx5_0"\n',
    "database of ibdiagnet": 'START_NODES\nNodeDesc,NumPorts\n"n1 mlx5_0",1\nEND_NODES\n',
    "list of links": "{ CA Ports:01 SystemGUID:0000000000000011 NodeGUID:0000000000000011 }\n",
    "rocm-smi": "=========== Link Type between two GPUs ===========\n       GPU0   GPU1\nGPU0   0      XGMI\n",
    "ibstat": "CA 'mlx5_0'\n\tCA type: MT4129\n\tNumber of ports: 1\n",
    "table for people": "NAME   STATUS   ROLES    AGE   VERSION\nn1     Ready    <none>   1d    v1.33\n",
    "overview": "+-----+\n| NVIDIA-SMI 570.86    Driver Version: 570.86   CUDA Version: 12.8 |\n",
    "settings of SimAI": "ENABLE_QCN 1\nUSE_DYNAMIC_PFC_THRESHOLD 1\n",
    "no topology here": "No topology information available\n",
}


@pytest.mark.parametrize(("what", "text"), TEXTS.items())
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_known_files_are_explained(what: str, text: str, line_end: str) -> None:
    text = text.replace("\n", line_end)
    with pytest.raises(InputError, match=what) as caught:
        formats.detect(text, path="dir/f.txt")
    assert str(caught.value).startswith("dir/f.txt")
    assert caught.value.hint
    assert "formats:" not in caught.value.hint


def test_each_kind_has_a_text() -> None:
    found = [unread.explain(text) for text in TEXTS.values()]
    assert None not in found
    assert len({known[0] for known in found if known}) == len(unread._KNOWN)


def test_other_text_lists_the_formats() -> None:
    assert unread.explain("hello") is None
    with pytest.raises(InputError, match="no known topology format"):
        formats.detect("hello")

"""Files that people have beside the readable ones, or in their place: what each is, and what to give instead."""

from __future__ import annotations

import re

from topoplan.topologies.reading import SNIFF_CHARS

# (what its beginning looks like, what it is, what to do); the first that fits counts. Patterns look at whole lines or
# bounded stretches, so that hostile text costs no more than its length.
_KNOWN = (
    (
        re.compile(r'^\s*\{\s*"(?:network_info|path_info)"\s*:'),
        "this is a .ndat of netloc",
        "give the output of ibnetdiscover that it was made from, or a table with a cable a row",
    ),
    (
        re.compile(r'"destination_guid"\s*:'),
        "these are the links of UFM's REST API, whose ends are GUIDs alone",
        "give its ports, which know their hosts: https://UFM/ufmRest/resources/ports",
    ),
    (
        re.compile(r"^(?:name|hostname),(?=[^\r\n]{0,500}\b(?:device_type|hwsku|type|role)\b)", re.IGNORECASE),
        "this is a table of devices: it names no cables",
        "give the table of cables, and this one as --names if it has the columns name and role",
    ),
    (
        re.compile(r"<DescribeInstanceTopologyResponse\b"),
        "this is the XML of AWS's API",
        "aws ec2 describe-instance-topology --output json",
    ),
    (
        re.compile(r"^(?:Switch|CA): 0x[0-9a-f]{16} [^\r\n]{1,100}:\s*$|\]\s*==\(\s*\d{1,2}X\s", re.MULTILINE),
        "this is iblinkinfo, which names the far ends of cables by LID",
        "run ibnetdiscover on the same host, or give UFM's ports (https://UFM/ufmRest/resources/ports)",
    ),
    (
        re.compile(r"^(?:CA|SW|RT)\s+\d{1,5}\s+\d{1,3}\s+0x[0-9a-f]{16}\s+(?:\d{1,2}x|\?\?)\s", re.MULTILINE),
        "this is ibnetdiscover --ports",
        "run ibnetdiscover without -p or --ports: its records of switches and adapters are read",
    ),
    (
        re.compile(r"^(?:Ca|Switch|Router)\s+:\s+0x[0-9a-f]{16}\s+ports\s+\d", re.MULTILINE),
        "this is ibnetdiscover --list (or ibhosts, ibswitches), which shows no cables",
        "run ibnetdiscover without -l or --list",
    ),
    (
        re.compile(r"^START_(?:NODES|PORTS|LINKS|SWITCHES)\s*$", re.MULTILINE),
        "this is the database of ibdiagnet (.db_csv)",
        "run ibnetdiscover on the same host",
    ),
    (
        re.compile(r"^\{ (?:CA|SW) Ports:[0-9A-Fa-f]{1,3} SystemGUID:", re.MULTILINE),
        "this is OpenSM's list of links (opensm-subnet.lst)",
        "run ibnetdiscover on the same host",
    ),
    (
        re.compile(r"^=+ (?:Link Type|Weight|Hops) between two GPUs =+\s*$|^LINK TYPE TABLE:", re.MULTILINE),
        "this is the topology of rocm-smi or amd-smi, which shows no NICs",
        "give RCCL's topology (NCCL_TOPO_DUMP_FILE=topo.xml), or lstopo --whole-io --of xml",
    ),
    (
        re.compile(r"^CA '[\w.-]{1,64}'\s*$", re.MULTILINE),
        "this is ibstat: it shows one host's adapters and no cables",
        "run ibnetdiscover as root, or the script of topoplan import --collect-script on every host",
    ),
    (
        re.compile(r"^(?:NAME\s+STATUS\s+ROLES\s+AGE|PARTITION\s+AVAIL\s+TIMELIMIT)\b", re.MULTILINE),
        "this is a table for people, without the places of nodes",
        "kubectl get nodes -o json, or scontrol show topology",
    ),
    (
        re.compile(r"^\| NVIDIA-SMI \d", re.MULTILINE),
        "this is nvidia-smi's overview, which shows neither NVLink nor NICs",
        "nvidia-smi topo -m",
    ),
    (
        re.compile(r"^(?:ENABLE_QCN|USE_DYNAMIC_PFC_THRESHOLD|PACKET_PAYLOAD_SIZE)\s+\S", re.MULTILINE),
        "these are settings of SimAI's simulator",
        "give the topology file that its generator writes",
    ),
    (
        re.compile(r"^No topology information available", re.MULTILINE),
        "Slurm has no topology here (TopologyPlugin is topology/flat)",
        "describe the network with another file, such as the output of ibnetdiscover",
    ),
)


def explain(text: str) -> tuple[str, str] | None:
    """What `text` is and what to do, where it is of a kind that is known and not read; None otherwise."""
    head = text[:SNIFF_CHARS].lstrip("\ufeff")
    return next(((what, advice) for pattern, what, advice in _KNOWN if pattern.search(head)), None)

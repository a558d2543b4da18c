"""Writer of topograph's model YAML."""

from __future__ import annotations

from topoplan.files.emit import scalar
from topoplan.model.fabric import Fabric
from topoplan.names import compress
from topoplan.topologies.writers.outline import island_hosts, outline, plain_names, title

_DOMAIN = "accelerator.topology.test/domain"


def write_model(fabric: Fabric) -> str:
    """Model with a switch for each group and a block for each leaf, or for each part of an NVLink island in one.

    Left out, as models have no place for it: what is inside a host, aliases, unusable GPUs, bandwidths and uplinks,
    rails, planes, links, names and latencies of tiers, islands of one host, and groups without hosts. Names of groups
    and islands with other characters than letters, digits, ".", "_" and "-" are changed.
    """
    branches = outline(fabric, plain_names)
    island_of = {h: name for name, hosts in island_hosts(fabric).items() for h in hosts}
    lines = [f"# {title(fabric)}: written by topoplan"]
    inner = [branch for branch in branches if branch.children]
    lines += ["switches:"] if inner else []
    for branch in inner:
        lines += [f"  {scalar(branch.name)}:", "    switches:"]
        lines += [f"    - {scalar(branches[k].name)}" for k in branch.children]
    lines.append("blocks:")
    for branch in branches:
        parts: dict[str, list[str]] = {}
        for h in branch.hosts:
            parts.setdefault(island_of.get(h, ""), []).append(fabric.host_names[h])
        for island, hosts in parts.items():
            lines += [f"- switch: {scalar(branch.name)}", f"  nodes: [{scalar(compress(hosts))}]"]
            lines += ["  annotations:", f"    {_DOMAIN}: {scalar(island)}"] if island else []
    return "\n".join(lines) + "\n"

"""Writers of foreign topology formats: Fabric in, text out."""

from __future__ import annotations

from topoplan.errors import InputError
from topoplan.model.fabric import Fabric
from topoplan.names import closest
from topoplan.topologies.writers import graphs, infragraph, kubernetes, nccl_xml, simgrid, slurm, topograph
from topoplan.topologies.writers.base import Writer

__all__ = ["WRITERS", "Writer", "find", "write"]

# All formats, one line each.
WRITERS: tuple[Writer, ...] = (
    Writer("slurm", slurm.write_tree, "Slurm's topology.conf, plugin topology/tree"),
    Writer("slurm-block", slurm.write_blocks, "Slurm's topology.conf, plugin topology/block"),
    Writer("slurm-yaml", slurm.write_yaml, "Slurm's topology.yaml, tree and blocks"),
    Writer("hypernode", kubernetes.write_hypernodes, "Volcano's HyperNodes"),
    Writer("kueue", kubernetes.write_kueue, "Kueue's Topology, and the labels that nodes need for it"),
    Writer("topograph", topograph.write_model, "topograph's model YAML"),
    Writer("graphml", graphs.write_graphml, "GraphML of the networkx graph"),
    Writer("infragraph", infragraph.write, "InfraGraph YAML"),
    Writer("nccl", nccl_xml.write, "NCCL topology XML of a host, with rails and planes"),
    Writer("node-link", graphs.write_node_link, "node-link JSON of the networkx graph"),
    Writer("simgrid", simgrid.write, "SimGrid platform XML"),
)


def find(name: str) -> Writer:
    """Writer of the format of that name; InputError when there is none."""
    for writer in WRITERS:
        if writer.name == name:
            return writer
    names = [writer.name for writer in WRITERS]
    hint = closest(name, names) or f"formats: {', '.join(names)}"
    raise InputError(f"no writer of format {name[:80]!r}", hint=hint)


def write(fabric: Fabric, format: str) -> str:  # noqa: A002 - the option's name
    """Text of `fabric` in the format of that name.

    Raises
    ------
    InputError
        An unknown format, or a fabric that the format has no way to describe.
    """
    return find(format).write(fabric)

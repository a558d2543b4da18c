"""All foreign formats that are read, in one list: text in, Fabric out."""

from __future__ import annotations

from topoplan.errors import InputError, Place
from topoplan.model.fabric import Fabric
from topoplan.names import closest
from topoplan.topologies.collect import reader as collected
from topoplan.topologies.collect.sections import sniff as sniff_collected
from topoplan.topologies.readers.cables import edge_list, graphs, lab, lldp, netq
from topoplan.topologies.readers.clouds import aws, gcp, oci
from topoplan.topologies.readers.hosts import hwloc, nccl_graphs, nccl_xml, nvidia_smi_topo
from topoplan.topologies.readers.infiniband import ibdm, ibnetdiscover, ufm
from topoplan.topologies.readers.schedulers import (
    fabric_clique,
    hypernode,
    kubernetes,
    slurm_conf,
    slurm_show,
    slurm_yaml,
    topograph,
)
from topoplan.topologies.readers.simulators import astrasim, infragraph, simai, simgrid
from topoplan.topologies.reading import HOST, ISLANDS, NETWORK, Reader, ReadOptions, decode
from topoplan.topologies.unread import explain

__all__ = ["READERS", "ReadOptions", "Reader", "decode", "detect", "read"]

# All formats, in the order in which `detect` asks them.
READERS: tuple[Reader, ...] = (
    Reader(
        "collected",
        sniff_collected,
        collected.read,
        "a host's file as the script of --collect-script writes it, or a folder of them",
        frozenset({HOST, NETWORK, ISLANDS}),
    ),
    Reader(
        "ibnetdiscover",
        ibnetdiscover.sniff,
        ibnetdiscover.read,
        "InfiniBand subnet as ibnetdiscover prints it",
        frozenset({HOST, NETWORK}),
    ),
    Reader("ufm", ufm.sniff, ufm.read, "ports of an InfiniBand fabric, as UFM's REST API lists them"),
    Reader("hwloc", hwloc.sniff, hwloc.read, "machine as lstopo --of xml writes it", frozenset({HOST})),
    Reader("nccl", nccl_xml.sniff, nccl_xml.read, "topology XML of NCCL and RCCL", frozenset({HOST, ISLANDS})),
    Reader("nccl-graphs", nccl_graphs.sniff, nccl_graphs.read, "graphs XML of NCCL and RCCL", frozenset({HOST})),
    Reader(
        "nvidia-smi", nvidia_smi_topo.sniff, nvidia_smi_topo.read, "what nvidia-smi topo -m prints", frozenset({HOST})
    ),
    Reader("scontrol", slurm_show.sniff, slurm_show.read, "what scontrol show topology prints"),
    Reader(
        "slurm", slurm_conf.sniff, slurm_conf.read, "Slurm's topology.conf, plugins topology/tree and topology/ring"
    ),
    Reader(
        "slurm-block",
        slurm_conf.sniff_blocks,
        slurm_conf.read,
        "Slurm's topology.conf, plugin topology/block",
        frozenset({NETWORK, ISLANDS}),
    ),
    Reader("slurm-yaml", slurm_yaml.sniff, slurm_yaml.read, "Slurm's topology.yaml", frozenset({NETWORK, ISLANDS})),
    Reader(
        "topograph",
        topograph.sniff,
        topograph.read,
        "topograph's model YAML, or the instance JSON of its graph engine",
        frozenset({NETWORK, ISLANDS}),
    ),
    Reader(
        "fabric-clique",
        fabric_clique.sniff,
        fabric_clique.read,
        "list of hosts with the ClusterUUID and clique of their NVLink domain",
        frozenset({ISLANDS}),
    ),
    Reader(
        "aws", aws.sniff, aws.read, "AWS's describe-instance-topology in JSON or YAML", frozenset({NETWORK, ISLANDS})
    ),
    Reader(
        "gcp", gcp.sniff, gcp.read, "Google Cloud's instances with their physicalHost", frozenset({NETWORK, ISLANDS})
    ),
    Reader("oci", oci.sniff, oci.read, "Oracle Cloud's rdmaTopologyData of hosts", frozenset({NETWORK, ISLANDS})),
    Reader(
        "kubernetes",
        kubernetes.sniff,
        kubernetes.read,
        "kubectl get nodes -o json or yaml, with Kueue's Topology or without",
        frozenset({NETWORK, ISLANDS}),
    ),
    Reader("hypernode", hypernode.sniff, hypernode.read, "Volcano's HyperNodes, with the Nodes or without"),
    Reader(
        "lldp",
        lldp.sniff,
        lldp.read,
        "neighbours that lldpcli sees, of one host or many: json, json0, keyvalue, xml or plain text",
    ),
    Reader("netq", netq.sniff_graph, netq.read_graph, "topology graph of NVIDIA NetQ"),
    Reader(
        "nmx",
        netq.sniff_nmx,
        netq.read_nmx,
        "compute nodes and their NVLink domains, as NVIDIA NMX lists them",
        frozenset({ISLANDS}),
    ),
    Reader("containerlab", lab.sniff_containerlab, lab.read_containerlab, "containerlab topology YAML"),
    Reader("lab-json", lab.sniff_json, lab.read_json, "links of NVIDIA Air, Graphite or containerlab in JSON"),
    Reader("dot", lab.sniff_dot, lab.read_dot, "Graphviz graph whose edges name ports"),
    Reader("edges", edge_list.sniff, edge_list.read, "table with a cable a row: NetBox, SONiC, spreadsheets"),
    Reader("ibdm", ibdm.sniff, ibdm.read, "topology files of ibdm and ibutils (.topo), system definitions inline"),
    Reader("ibdm-cables", ibdm.sniff_cables, ibdm.read_cables, "list of cables of ibdm and ibutils (.cables)"),
    Reader(
        "simai",
        simai.sniff,
        simai.read,
        "topology of SimAI: GPUs, NVSwitches and switches by number",
        frozenset({HOST, NETWORK}),
    ),
    Reader("astra-sim", astrasim.sniff, astrasim.read, "analytical network of ASTRA-sim", frozenset({HOST, NETWORK})),
    Reader("astra-sim-dims", astrasim.sniff_dims, astrasim.read_dims, "logical dimensions of ASTRA-sim's ns-3 backend"),
    Reader("htsim", astrasim.sniff_htsim, astrasim.read_htsim, "fat trees of htsim and ASTRA-sim's htsim backend"),
    Reader(
        "infragraph",
        infragraph.sniff,
        infragraph.read,
        "InfraGraph: devices, instances and edges in YAML or JSON",
        frozenset({HOST, NETWORK}),
    ),
    Reader(
        "graphml",
        graphs.sniff_graphml,
        graphs.read_graphml,
        "GraphML of topoplan or of others, edges being cables",
        frozenset({HOST, NETWORK, ISLANDS}),
    ),
    Reader(
        "node-link",
        graphs.sniff_node_link,
        graphs.read_node_link,
        "node-link JSON of networkx, of topoplan or of others",
        frozenset({HOST, NETWORK, ISLANDS}),
    ),
    Reader(
        "simgrid",
        simgrid.sniff,
        simgrid.read,
        "SimGrid platform of one flat zone",
        frozenset({HOST, NETWORK, ISLANDS}),
    ),
)


def detect(text: str, *, path: str = "-") -> Reader:
    """Reader whose format `text` looks like.

    Raises
    ------
    InputError
        No format fits.
    """
    for reader in READERS:
        if reader.sniff(text):
            return reader
    if known := explain(text):
        raise InputError(known[0], place=Place(path), hint=known[1])
    raise InputError("no known topology format", place=Place(path), hint=f"formats: {_names()}; choose with --format")


def read(text: str, *, name: str = "-", format: str | None = None, options: ReadOptions | None = None) -> Fabric:  # noqa: A002 - the option's name
    """Fabric described by `text`.

    Parameters
    ----------
    name
        Path for messages; the fabric is called like it, without folder and ending.
    format
        Name of a reader; found by content when None.

    Raises
    ------
    InputError
        An unknown format, or text that is not what the format demands.
    """
    reader = _choose(text, name, format)
    try:
        return reader.read(text, name, options or ReadOptions())
    except InputError as error:
        if error.place:
            raise
        raise InputError(error.message, place=Place(name), hint=error.hint) from None


def _choose(text: str, path: str, format_name: str | None) -> Reader:
    if format_name is None:
        return detect(text, path=path)
    for reader in READERS:
        if reader.name == format_name:
            return reader
    names = [reader.name for reader in READERS]
    raise InputError(f"unknown format {format_name!r}", hint=closest(format_name, names) or f"formats: {_names()}")


def _names() -> str:
    return ", ".join(reader.name for reader in READERS)

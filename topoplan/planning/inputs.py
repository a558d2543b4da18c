"""Find out what a user's file is and read it with the right reader."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from topoplan.errors import InputError, Place
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.files.inputs import STDIN, Source, read_source
from topoplan.files.job_yaml import ReadJob, read_job
from topoplan.model.fabric import Fabric, HostType
from topoplan.model.plan import InputFile
from topoplan.names import closest, expand
from topoplan.topologies import catalog, readers

_KIND = re.compile(r"^\s*(?:-\s*)?[\"']?kind[\"']?\s*:\s*[\"']?([A-Za-z]+)", re.MULTILINE)
MAX_TOPOLOGY_BYTES = 256 * 2**20  # ibnetdiscover of 100,000 endpoints is about 60 MB


@dataclass(frozen=True, eq=False)
class FabricInput:
    """A fabric and the file it came from."""

    fabric: Fabric
    file: InputFile
    format: str


def kind_of(text: str) -> str:
    """`kind` of one of our own YAML files, "" for anything else."""
    head = text[:65536]
    match = _KIND.search(head)
    return match[1] if match and "topoplan/" in head else ""


def open_fabric(spec: str, *, host_type: str | None = None, format: str | None = None) -> FabricInput:  # noqa: A002
    """Fabric of a file (our YAML or a foreign format, told apart by content), of "-", or of the catalogue.

    Parameters
    ----------
    host_type
        Name of a host type of the catalogue, for foreign files that do not say what their hosts are.
    format
        Reader to use instead of looking at the content.

    Raises
    ------
    InputError
        Nothing of that name, or a file that no reader takes.
    """
    if spec != STDIN and not Path(spec).exists():
        return _from_catalog(spec)
    source = read_source(spec, limit=MAX_TOPOLOGY_BYTES)
    kind = kind_of(source.content[:65536].decode("utf-8", "replace"))
    if kind == "Job":
        raise InputError("this is a Job; a Fabric is needed here", place=Place(source.shown))
    if format == "topoplan" or (format is None and kind):
        if host_type:
            raise InputError("--host-type is for foreign files; a Fabric file says what its hosts are")
        fabric, name = parse_fabric(source.text, source.shown), "topoplan"
    else:
        fabric, name = _foreign(source, _host_type(host_type), format)
    return FabricInput(fabric, InputFile(source.name, source.sha256), name)


def _foreign(source: Source, host_type: HostType | None, format_name: str | None) -> tuple[Fabric, str]:
    text = readers.decode(source.content, source.shown)
    if format_name is None:
        format_name = readers.detect(text, path=source.shown).name
    options = readers.ReadOptions(host_type=host_type)
    return readers.read(text, name=source.shown, format=format_name, options=options), format_name


def open_job(path: str) -> ReadJob:
    """Job of a YAML file or of "-", with the files it names.

    Raises
    ------
    InputError
        Not a Job, or a Fabric in its place.
    """
    if path != STDIN and Path(path).is_file() and kind_of(read_source(path).text) == "Fabric":
        raise InputError("this is a Fabric; a Job is needed here", place=Place(path), hint="give it to --topology")
    return read_job(path)


def _host_type(name: str | None) -> HostType | None:
    return None if name is None else catalog.host_type(name)


def _from_catalog(spec: str) -> FabricInput:
    """Fabric of the catalogue: NAME or NAME:key=value,key=value."""
    name, parameters = catalog.parse_spec(spec)
    if not catalog.known(name):
        hint = closest(name, catalog.names()) or f"catalogue fabrics: {', '.join(catalog.names())}"
        raise InputError("no such file, and no fabric of that name in the catalogue", place=Place(name), hint=hint)
    text = catalog.text(name, **parameters)
    source = Source(f"{name}.yaml", text.encode())
    return FabricInput(parse_fabric(text, source.name), InputFile(source.name, source.sha256), "topoplan")


def host_list(option: str | None, environment: Mapping[str, str]) -> tuple[str, ...] | None:
    """Hosts of an allocation: of --hosts (a list, or "-" for standard input), else of the Slurm job we run in.

    Raises
    ------
    InputError
        A list that is not one, or an empty one.
    """
    text = option if option is not None else environment.get("SLURM_JOB_NODELIST", "")
    if option is None and not text:
        return None
    if option == STDIN:
        text = read_source(STDIN).text
    try:
        names = tuple(dict.fromkeys(expand(text)))
    except ValueError as error:
        raise InputError(f"--hosts: {error}") from None
    if not names:
        raise InputError("--hosts names no host")
    return names

"""Find out what a user's file is and read it with the right reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from topoplan.errors import InputError, Place
from topoplan.files.inputs import STDIN, read_source
from topoplan.files.job_yaml import ReadJob, read_job
from topoplan.names import expand
from topoplan.planning.fabric_files import FabricInput, kind_of, read_fabric_files, read_topology
from topoplan.topologies import catalog
from topoplan.topologies.formats import ReadOptions, decode
from topoplan.topologies.names.table import Entry, parse_names

__all__ = ["FabricInput", "host_list", "kind_of", "open_fabric", "open_job", "read_options"]


def open_fabric(
    spec: str | Sequence[str],
    *,
    host_type: str | None = None,
    format: str | None = None,  # noqa: A002 - the option's name
    options: ReadOptions | None = None,
) -> FabricInput:
    """Fabric of a file (our YAML or a foreign format, told apart by content), of "-", or of the catalogue.

    Parameters
    ----------
    spec
        The file, a folder of files, or several of them, which are merged; FILE=HOSTS says which hosts a file is about.
    host_type
        Name of a host type of the catalogue, for foreign files that do not say what their hosts are.
    format
        Reader to use instead of looking at the content.
    options
        What else the user knows.

    Raises
    ------
    InputError
        Nothing of that name, a file that no reader takes, or files that contradict each other.
    """
    known = options or ReadOptions()
    if host_type is not None:
        known = replace(known, host_type=catalog.host_type(host_type))
    return read_fabric_files([spec] if isinstance(spec, str) else spec, format, known)


def read_options(names: str | None = None, nics: str = "", columns: str = "") -> ReadOptions:
    """What the user says of foreign files: a table of names (path), which NICs count, and columns as PART=NAME,...

    Raises
    ------
    InputError
        A table or a list of columns that cannot be read.
    """
    chosen: dict[str, str] = {}
    for item in filter(None, columns.split(",")):
        part, equals, name = item.partition("=")
        if not equals or not name or part.strip() in chosen:
            raise InputError(
                f"--columns: {item[:80]!r} is not PART=NAME", hint="a=Switch,b=Server,bandwidth=Speed:Gb/s"
            )
        chosen[part.strip()] = name.strip()
    table: Mapping[str, Entry] = {}
    if names is not None:
        source = read_topology(names)
        table = parse_names(decode(source.content, source.shown), source.shown)
    return ReadOptions(nics=nics, names=table, columns=chosen)


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

"""Files that together describe a fabric: found, read each with its reader, and merged."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from topoplan.errors import InputError, Place
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.files.inputs import STDIN, Source, read_source, unreadable
from topoplan.model.fabric import Fabric
from topoplan.model.plan import InputFile
from topoplan.names import closest, expand
from topoplan.topologies import catalog, formats
from topoplan.topologies.collect import neighbours
from topoplan.topologies.collect import reader as collected
from topoplan.topologies.merge import OWN_FORMAT, Part, merge
from topoplan.topologies.reading import HOST, ISLANDS, NETWORK, fabric_name

_KIND = re.compile(r"^\s*(?:-\s*)?[\"']?kind[\"']?\s*:\s*[\"']?([A-Za-z]+)", re.MULTILINE)
MAX_TOPOLOGY_BYTES = 256 * 2**20  # ibnetdiscover of 100,000 endpoints is about 60 MB
MAX_ALL_BYTES = 2**30  # assumed: collected files of 16,000 hosts at 60 kB each
_GROWTH = 2**20  # that a file may grow by while it is read
MAX_FILES = 50_000  # assumed: three for each host of the largest clusters


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file as it was read: its format and how many hosts it names; `skipped` says why it was left out."""

    path: str
    format: str = ""
    hosts: int = 0
    skipped: str = ""


@dataclass(frozen=True, eq=False)
class FabricInput:
    """A fabric and the files it came from.

    Parameters
    ----------
    file
        What plans record of its origin; of several files the names and a digest of their digests.
    format
        Reader of the file, "merged" of several.
    files
        Each file, in order of their names.
    """

    fabric: Fabric
    file: InputFile
    format: str
    files: tuple[ReadFile, ...] = ()


@dataclass(frozen=True, slots=True)
class _Given:
    """A file as the user gave it: `hosts` from FILE=HOSTS, `found` when it was in a folder, `label` for messages."""

    source: Source
    hosts: tuple[str, ...] = ()
    found: bool = False
    format: str = ""
    label: str = ""


def read_fabric_files(specs: Sequence[str], format_name: str | None, options: formats.ReadOptions) -> FabricInput:
    """Fabric of files, folders of files, names of the catalogue, and FILE=HOSTS for files that describe one host.

    Raises
    ------
    InputError
        A file that no reader takes (in a folder such files are left out with a warning), too many or too large ones,
        or files that contradict each other.
    """
    given = _labelled(_once(_detected(_given(specs), format_name)))
    if len(given) == 1 and not given[0].hosts:
        return _one(given[0], options)
    taken = [item for item in given if item.format]
    parts, files = _read_all(taken, options)
    files += [ReadFile(item.source.shown, skipped="no known topology format") for item in given if not item.format]
    if not parts:
        raise InputError("no file here is of a known topology format", place=Place(", ".join(specs)[:200]))
    fabric = _with_skipped(merge(parts, fill=options.host_type is None), files)
    if len(specs) == 1 and given[0].found:
        fabric = replace(fabric, name=fabric_name(str(Path(specs[0]).resolve())))
    digest = hashlib.sha256("".join(sorted(f"{item.source.sha256}\n" for item in taken)).encode()).hexdigest()
    name = "+".join(sorted({item.source.name for item in taken}))
    name = name if len(name) <= 200 else f"{name[:180]}+{len(taken)}-files"
    files.sort(key=lambda file: file.path)
    return FabricInput(fabric, InputFile(name, digest), "merged", tuple(files))


def kind_of(text: str) -> str:
    """`kind` of one of our own YAML files, "" for anything else."""
    head = text[:65536]
    match = _KIND.search(head)
    return match[1] if match and "topoplan/" in head else ""


# ---- finding ---------------------------------------------------------------------------------------------------------


def _given(specs: Iterable[str]) -> Iterator[_Given]:
    left, count = MAX_ALL_BYTES, 0
    for spec in specs:
        for path, hosts, found in _paths(spec):
            count += 1
            if count > MAX_FILES:
                raise InputError(f"more than {MAX_FILES} files", place=Place(spec))
            source = _catalogued(path) or read_topology(path)
            left -= len(source.content)
            if left < 0:
                raise InputError(f"the files are larger than {MAX_ALL_BYTES // 2**20} MiB together", place=Place(spec))
            yield _Given(source, hosts, found)


def _paths(spec: str) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """(path, hosts, whether a folder holds it) of each file that `spec` stands for."""
    path = Path(spec)
    if spec != STDIN and not _exists(path) and "=" in spec and _exists(Path(spec.rpartition("=")[0])):
        name, _, hosts = spec.rpartition("=")
        try:
            yield name, tuple(dict.fromkeys(expand(hosts))), False
        except ValueError as error:
            raise InputError(f"{spec}: {error}") from None
        return
    if spec == STDIN or not _exists(path) or not path.is_dir():
        yield spec, (), False
        return
    try:
        entries = sorted(entry.path for entry in os.scandir(path) if entry.is_file() and entry.name[0] != ".")
    except OSError as error:
        raise unreadable(spec, error) from None
    if not entries:
        raise InputError("no files in this folder", place=Place(spec))
    yield from ((entry, (), True) for entry in entries)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a null character, or a name that is too long
        return False


def _catalogued(spec: str) -> Source | None:
    """Text of a fabric of the catalogue: NAME or NAME:key=value,key=value; None for what is a file."""
    if spec == STDIN or _exists(Path(spec)):
        return None
    name, parameters = catalog.parse_spec(spec)
    if not catalog.known(name):
        hint = closest(name, catalog.names()) or f"catalogue fabrics: {', '.join(catalog.names())}"
        raise InputError("no such file, and no fabric of that name in the catalogue", place=Place(name), hint=hint)
    return Source(f"{name}.yaml", catalog.text(name, **parameters).encode())


def read_topology(path: str) -> Source:
    """Content of a topology file; one that is too large is refused unread.

    Raises
    ------
    InputError
        A file that is missing, cannot be read or is too large.
    """
    try:
        size = 0 if path == STDIN else Path(path).stat().st_size
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None
    if size > MAX_TOPOLOGY_BYTES:
        raise InputError(f"larger than {MAX_TOPOLOGY_BYTES // 2**20} MiB", place=Place(path))
    # Python sets the whole limit aside before it reads, so a known size is the better limit; pipes show none
    return read_source(path, limit=min(MAX_TOPOLOGY_BYTES, size + _GROWTH) if size else MAX_TOPOLOGY_BYTES)


# ---- reading ---------------------------------------------------------------------------------------------------------


def _detected(given: Iterable[_Given], format_name: str | None) -> Iterator[_Given]:
    """Each file with its format, "" for those of a folder that no reader takes."""
    for item in given:
        yield replace(item, format=_format(item, format_name))


def _format(item: _Given, format_name: str | None) -> str:
    if format_name is not None:
        return format_name
    kind = kind_of(item.source.content[:65536].decode("utf-8", "replace"))
    if kind and kind != "Fabric" and item.found:
        return ""
    if kind == "Job":
        raise InputError("this is a Job; a Fabric is needed here", place=Place(item.source.shown))
    if kind:
        return OWN_FORMAT
    try:
        return formats.detect(formats.decode(item.source.content, item.source.shown), path=item.source.shown).name
    except InputError:
        if item.found:
            return ""
        raise


def _once(given: Iterable[_Given]) -> list[_Given]:
    """`given` in the order of their names, the same file once."""
    found = {(item.source.shown, item.hosts): item for item in given}
    return [found[key] for key in sorted(found)]


def _labelled(given: Sequence[_Given]) -> list[_Given]:
    """`given` with their file names as labels, their whole paths where two have the same name."""
    count = Counter(item.source.name for item in given)
    return [
        replace(item, label=item.source.name if count[item.source.name] == 1 else item.source.shown) for item in given
    ]


def _read(item: _Given, options: formats.ReadOptions) -> Fabric:
    if item.format == OWN_FORMAT:
        return parse_fabric(item.source.text, item.source.shown)
    return formats.read(_text(item), name=item.source.shown, format=item.format, options=options)


def _text(item: _Given) -> str:
    return formats.decode(item.source.content, item.source.shown)


def _one(item: _Given, options: formats.ReadOptions) -> FabricInput:
    if not item.format:
        raise InputError("no known topology format", place=Place(item.source.shown))
    if item.format == OWN_FORMAT and options.host_type:
        raise InputError("--host-type is for foreign files; a Fabric file says what its hosts are")
    fabric = _read(item, options)
    file = ReadFile(item.source.shown, item.format, len(fabric.hosts))
    return FabricInput(fabric, InputFile(item.source.name, item.source.sha256), item.format, (file,))


def _read_all(taken: Sequence[_Given], options: formats.ReadOptions) -> tuple[list[Part], list[ReadFile]]:
    """What the files tell; those of formats that tell more together are read so."""
    together = {
        name: [item for item in taken if item.format == name and not item.hosts]
        for name in (collected.NAME, neighbours.FORMAT)
    }
    parts: list[Part] = []
    if hosts := together[collected.NAME]:
        texts = [(_text(item), item.label) for item in hosts]
        parts += collected.parts(texts, options)
        options = replace(options, known=collected.names(texts))
    tables = together[neighbours.FORMAT]
    if len(tables) > 1:
        label = f"{len(tables)} {neighbours.FORMAT} files"
        text = neighbours.join((_text(item), item.label) for item in tables)
        fabric = formats.read(text, name=label, format=neighbours.FORMAT, options=options)
        parts.append(Part(label, neighbours.FORMAT, fabric, _tells(neighbours.FORMAT)))
    else:
        together[neighbours.FORMAT] = []
    files = [ReadFile(item.source.shown, item.format, 1) for items in together.values() for item in items]
    done = {id(item) for items in together.values() for item in items}
    for item in taken:
        if id(item) not in done:
            parts.append(_part(item, options))
            files.append(ReadFile(item.source.shown, item.format, len(parts[-1].fabric.hosts)))
    return parts, files


def _tells(format_name: str) -> frozenset[str]:
    return next((reader.tells for reader in formats.READERS if reader.name == format_name), frozenset())


def _part(item: _Given, options: formats.ReadOptions) -> Part:
    if item.format == OWN_FORMAT:
        fabric = _read(item, options)
        told = {HOST} | ({NETWORK} if fabric.groups else set()) | ({ISLANDS} if fabric.islands else set())
        return Part(item.label, OWN_FORMAT, fabric, frozenset(told), item.hosts)
    tells = _tells(item.format)
    inside = HOST in tells and NETWORK not in tells
    if inside:
        options = replace(options, host_type=None)  # such a file says what its host is
    return Part(item.label, item.format, _read(item, options), tells, item.hosts, named=not inside)


def _with_skipped(fabric: Fabric, files: Sequence[ReadFile]) -> Fabric:
    skipped = sorted(Path(file.path).name for file in files if file.skipped)
    if not skipped:
        return fabric
    shown = ", ".join(skipped[:4]) + (f" and {len(skipped) - 4} more" if len(skipped) > 4 else "")
    return replace(fabric, warnings=(*fabric.warnings, f"files of no known topology format were left out: {shown}"))

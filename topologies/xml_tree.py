"""XML of unknown origin -> a plain tree of elements that know their lines.

Straight on expat rather than through defusedxml, which guards the standard tree builders but keeps no line numbers and
bounds neither depth nor size: here an entity declaration is refused where it stands, before anything could expand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from topoplan.errors import InputError, Place
from topoplan.topologies.reading import SNIFF_CHARS, quoted

MAX_DEPTH = 256  # assumed: ten times the deepest PCI tree inside an hwloc machine
MAX_ELEMENTS = 200_000  # assumed: ten times lstopo of a host with 2,000 threads; bounds memory and time


@dataclass(slots=True)
class Element:
    """An element: its attributes, the text directly inside it, its children, and the line it begins on."""

    tag: str
    attributes: dict[str, str]
    line: int
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def get(self, key: str) -> str:
        """Attribute without white space around it, "" when it is not there."""
        return self.attributes.get(key, "").strip()

    def all(self, *tags: str) -> Iterator[Element]:
        """Elements of these tags below this one, in the order of the file."""
        stack = self.children[::-1]
        while stack:
            element = stack.pop()
            if element.tag in tags:
                yield element
            stack.extend(reversed(element.children))


def parse_xml(text: str, path: str) -> Element:
    """Root element of `text`.

    Raises
    ------
    InputError
        Text that is not well-formed XML, that declares entities, or that is deeper or larger than any topology.
    """
    builder = _Builder(path)
    try:
        builder.parser.Parse(text.encode("utf-8", "replace"), True)
    except expat.ExpatError as error:
        place = Place(path, error.lineno, error.offset + 1)
        raise InputError(f"this is not well-formed XML: {expat.ErrorString(error.code)}", place=place) from None
    return builder.root


class _Builder:
    """Collects elements while expat reads."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.parser = expat.ParserCreate("utf-8")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.data
        self.parser.EntityDeclHandler = self.entity
        self.open: list[Element] = []
        self.root = Element("", {}, 0)
        self.count = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        element = Element(tag, attributes, self.parser.CurrentLineNumber)
        self.count += 1
        if len(self.open) >= MAX_DEPTH or self.count > MAX_ELEMENTS:
            raise self.error(f"more than {MAX_DEPTH} levels or {MAX_ELEMENTS} elements are more than any host has")
        if self.open:
            self.open[-1].children.append(element)
        else:
            self.root = element
        self.open.append(element)

    def end(self, _: str) -> None:
        self.open.pop()

    def data(self, text: str) -> None:
        if self.open and not text.isspace():
            self.open[-1].text += text

    def entity(self, name: str, *_: object) -> None:
        raise self.error(f"the file declares entity {quoted(name)}, which no topology needs")

    def error(self, message: str) -> InputError:
        return InputError(message, place=Place(self.path, self.parser.CurrentLineNumber))


def root_tag(text: str) -> str:
    """Name of the first element of what looks like XML, "" where there is none near the beginning."""
    at, head = 0, text[:SNIFF_CHARS]
    while True:
        at += len(head[at:]) - len(head[at:].lstrip("\ufeff \t\r\n"))
        for begin, end in (("<?", "?>"), ("<!--", "-->"), ("<!", ">")):
            if head.startswith(begin, at):
                stop = head.find(end, at)
                if begin == "<!" and 0 <= head.find("[", at) < stop:
                    stop = head.find(">", max(head.find("]", at), at))  # behind the internal subset
                if stop < 0:
                    return ""
                at = stop + len(end)
                break
        else:
            break
    tag = head[at + 1 : at + 64] if head.startswith("<", at) else ""
    for stop_at in " \t\r\n/>":
        tag = tag.split(stop_at)[0]
    return tag

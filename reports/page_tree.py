"""A page of ours as a tree of plain data, for writers that make something else of it than HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

_FIGURE = re.compile(r"(<svg\b.*?</svg>)", re.DOTALL)  # ours hold no further svg element
_SVG = "{http://www.w3.org/2000/svg}"
_VOID = frozenset({"meta", "br", "link", "img", "hr", "input"})
_SPACE = re.compile(r"\s+")
_LONG = re.compile(r"[^\s\u200b]{25,}")  # longer words need a place to break; assumed from the width of a table cell
_PIECE = 12
_BREAK = "\u200b"  # zero width space

Node = dict[str, Any]


def page_tree(page: str) -> Node:
    """Root of a page that our templates made.

    A node is a dict of "tag", "class" and "children", which are nodes and texts. Runs of white space are one space but
    in `pre`, and words that are too long for a column may be broken. Figures are nodes "svg" with "source", "title"
    and "description" (their alt text), "width" and "height" in points.
    """
    builder = _Builder()
    for piece in _FIGURE.split(page):
        if piece.startswith("<svg"):
            builder.add(_figure(piece))
        else:
            builder.feed(piece)
    builder.close()
    return builder.root


def find(node: Node, tag: str) -> Node | None:
    """First node of a tag below a node, in the order of the page."""
    for child in node["children"]:
        if isinstance(child, dict):
            found = child if child["tag"] == tag else find(child, tag)
            if found is not None:
                return found
    return None


def words(node: Node) -> str:
    """All text below a node, without the places where it may break."""
    parts = [words(child) if isinstance(child, dict) else child for child in node["children"]]
    return "".join(parts).replace(_BREAK, "").strip()


def _node(tag: str, **more: Any) -> Node:
    return {"tag": tag, "class": "", "children": [], **more}


def _figure(source: str) -> Node:
    root = ET.fromstring(source)  # noqa: S314 - drawn by ourselves
    told = {name: root.findtext(f"{_SVG}{name}", "") for name in ("title", "desc")}
    size = {name: float(root.attrib[name]) for name in ("width", "height")}
    return _node("svg", source=source, title=told["title"], description=told["desc"], **size)


class _Builder(HTMLParser):
    """Builds the tree of a page whose elements nest."""

    def __init__(self) -> None:
        super().__init__()
        self.root = _node("page")
        self.open = [self.root]

    def add(self, child: Node | str) -> None:
        self.open[-1]["children"].append(child)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = _node(tag, **{"class": dict(attrs).get("class") or ""})
        self.add(node)
        if tag not in _VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open[-1]["tag"] != "pre":
            data = _SPACE.sub(" ", data)
        self.add(_LONG.sub(lambda match: _broken(match[0]), data))


def _broken(word: str) -> str:
    return _BREAK.join(word[i : i + _PIECE] for i in range(0, len(word), _PIECE))


def figures(page: str) -> dict[str, str]:
    """Figures of a page as files of their own, by name: readable on any ground."""
    found = {}
    for source in _FIGURE.findall(page):
        root = ET.fromstring(source)  # noqa: S314 - drawn by ourselves
        root.attrib["style"] = "background: white"
        name = root.attrib["aria-labelledby"].split()[0].removesuffix("-title")
        ET.register_namespace("", "http://www.w3.org/2000/svg")
        found[f"{name}.svg"] = ET.tostring(root, encoding="unicode") + "\n"
    return found

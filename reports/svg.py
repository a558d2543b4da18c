"""matplotlib figures as inline SVG: one look, no dates, unique ids, alt text; equal input gives equal bytes."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette (Color Universal Design, 2008): told apart with any common colour vision.
BLUE, VERMILION, ORANGE, GREEN, SKY, PURPLE, YELLOW = (
    "#0072b2", "#d55e00", "#e69f00", "#009e73", "#56b4e9", "#cc79a7", "#f0e442",
)  # fmt: skip
INK, MUTED, FAINT = "#1f2933", "#5b6773", "#c5ccd3"
FONT = "DejaVu Sans"  # ships with matplotlib; wider than what readers without it will see
FALLBACK = "'DejaVu Sans', Verdana, Arial, sans-serif"

_SVG = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"
_URL = re.compile(r"url\(#([^)]+)\)")
# what XML 1.0 forbids (section 2.2)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff\ud800-\udfff]")
_STYLE: dict[str, object] = {
    "svg.fonttype": "none",  # text stays text: small, searchable, read aloud
    "font.family": FONT,
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a dollar in a host name is no formula
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "lines.linewidth": 1.6,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


def printable(text: str) -> str:
    """Text without characters that XML forbids."""
    return _CONTROL.sub("�", text)


def safe(svg: str) -> Any:
    """Our own SVG for a template: its texts are escaped already."""
    from markupsafe import Markup  # noqa: PLC0415 - comes with jinja2

    return Markup(svg)  # noqa: S704 - serialised by ElementTree


def draw(
    key: str,
    title: str,
    description: str,
    size: tuple[float, float],
    paint: Callable[[Figure], None],
    tips: Mapping[str, Sequence[str]] | None = None,
    background: str = "none",
) -> str:
    """SVG of a figure.

    Parameters
    ----------
    key
        Prefix of all ids, unique in a page.
    title, description
        Alt text, short and long.
    size
        Width and height in points, which become pixels.
    paint
        Draws onto the empty figure.
    tips
        Texts shown when the pointer rests on the paths of an artist, by its gid.
    background
        A colour makes the figure readable outside a page, whatever is behind it.
    """
    import matplotlib.style  # noqa: PLC0415 - only those who draw pay for it
    from matplotlib.figure import Figure  # noqa: PLC0415

    # the user's own matplotlibrc must not change the bytes
    with matplotlib.style.context(["default", {**_STYLE, "svg.hashsalt": key}]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # the reader's browser has it
        figure = Figure(figsize=(size[0] / 72, size[1] / 72), dpi=72, facecolor=background)
        paint(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    root = ET.fromstring(printable(buffer.getvalue().decode()))  # noqa: S314 - written by ourselves a line above
    _add_tips(root, tips or {})
    return _inline(root, key, printable(title), printable(description))


def _add_tips(root: ET.Element, tips: Mapping[str, Sequence[str]]) -> None:
    for group in root.iter(f"{{{_SVG}}}g"):
        texts = tips.get(group.attrib.get("id", ""))
        if texts:
            for path, text in zip(group.iter(f"{{{_SVG}}}path"), texts, strict=True):
                ET.SubElement(path, f"{{{_SVG}}}title").text = printable(text)


def _inline(root: ET.Element, key: str, title: str, description: str) -> str:
    """SVG element for a page, from the document that matplotlib wrote."""
    ET.register_namespace("", _SVG)
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    elements = list(root.iter())
    used = {name for element in elements for name in _references(element)}
    for element in elements:
        _tidy(element, key, used)
    _, _, width, height = root.attrib["viewBox"].split()
    root.attrib.clear()
    root.attrib |= {
        "viewBox": f"0 0 {width} {height}",
        "width": width,
        "height": height,
        "role": "img",
        "aria-labelledby": f"{key}-title {key}-desc",
        "style": f"--natural: {width}px",  # pages scale a figure by no more than stays handsome
    }
    for name, text in (("desc", description), ("title", title)):
        label = ET.Element(f"{{{_SVG}}}{name}", {"id": f"{key}-{name}"})
        label.text = text
        root.insert(0, label)
    return ET.tostring(root, encoding="unicode")


def _references(element: ET.Element) -> list[str]:
    """Ids that an element points to."""
    found = [element.attrib[_HREF].removeprefix("#")] if _HREF in element.attrib else []
    return found + [match for value in element.attrib.values() for match in _URL.findall(value)]


def _tidy(element: ET.Element, key: str, used: set[str]) -> None:
    """Prefix ids and references to them, so that several figures share a page; drop what says nothing."""
    name = element.attrib.pop("id", "")
    if name in used:
        element.attrib["id"] = f"{key}-{name}"
    if _HREF in element.attrib:
        element.attrib["href"] = f"#{key}-{element.attrib.pop(_HREF).removeprefix('#')}"
    for attribute, value in element.attrib.items():
        element.attrib[attribute] = _URL.sub(rf"url(#{key}-\1)", value).replace(f"'{FONT}'", FALLBACK)
    if element.attrib.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]
    for blank in ("text", "tail"):  # indentation
        if element.tag != f"{{{_SVG}}}text" and not (getattr(element, blank) or "").strip():
            setattr(element, blank, None)

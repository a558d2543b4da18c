"""What a planner of experts chooses between: balance and remote hosts, times of a layer, the worth of more slots."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from topoplan.reports.amounts import counted, milliseconds, percent, shortened
from topoplan.reports.svg import BLUE, FAINT, INK, MUTED, ORANGE, SKY, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from topoplan.planning.expert_curve import Curve
    from topoplan.planning.expert_slots import SlotRow, SlotSweep

CURVE_SIZE = (560.0, 270.0)
SLOTS_SIZE = (430.0, 230.0)


def curve_svg(curve: Curve, key: str) -> str:
    """SVG element of balance against remote hosts a token, the plan and balance alone marked."""
    description = (
        f"{counted(len(curve.points), 'way')} between balance {curve.points[0].balance:.3f} at "
        f"{curve.points[0].remote_hosts:.2f} remote hosts a token and {curve.points[-1].balance:.3f} at "
        f"{curve.points[-1].remote_hosts:.2f}. This plan: {curve.chosen.balance:.3f} at "
        f"{curve.chosen.remote_hosts:.2f}; balance alone: {curve.plain.balance:.3f} at {curve.plain.remote_hosts:.2f}."
    )
    return draw(key, "Balance against remote hosts a token", description, CURVE_SIZE, partial(_paint_curve, curve))


def _paint_curve(curve: Curve, figure: Figure) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - only those who draw pay for it

    axes = figure.add_axes((0.115, 0.17, 0.86, 0.71))
    x, y = [p.remote_hosts for p in curve.points], [p.balance for p in curve.points]
    axes.plot(x, y, "-o", color=MUTED, linewidth=1.2, markersize=4, label="ways between the two")
    axes.plot(
        [curve.plain.remote_hosts], [curve.plain.balance],
        "s", color=ORANGE, markersize=8, markeredgecolor=INK, markeredgewidth=0.6, label="balance alone, used evenly",
    )  # fmt: skip
    axes.plot(
        [curve.chosen.remote_hosts], [curve.chosen.balance],
        "o", color=BLUE, markersize=10, markeredgecolor=INK, markeredgewidth=0.6, label="this plan",
    )  # fmt: skip
    axes.margins(0.06, 0.12)
    axes.set_xlabel("remote hosts a token visits (fewer is better)")
    axes.set_ylabel("mean / max GPU load")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.grid(color="#e3e7eb", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False, ncols=3, borderaxespad=0.1, fontsize=8.5)


def times_svg(title: str, names: Sequence[str], times: Sequence[tuple[float, float, float]], key: str) -> str:
    """SVG element of the time of a layer, a bar for each of several ways.

    Parameters
    ----------
    times
        ms of dispatch, experts and combine of each.
    """
    each = "; ".join(f"{name} {milliseconds(sum(parts))}" for name, parts in zip(names, times, strict=True))
    size = (CURVE_SIZE[0], 66.0 + 24 * len(names))
    return draw(
        key, title, f"Dispatch, experts and combine of a layer. {each}.", size, partial(_paint_times, names, times)
    )


def _paint_times(names: Sequence[str], times: Sequence[tuple[float, float, float]], figure: Figure) -> None:
    height = float(figure.get_figheight()) * 72
    axes = figure.add_axes((0.27, 40 / height, 0.7, 1 - 62 / height))
    start = [0.0] * len(names)
    for part, colour, name in zip(range(3), (SKY, BLUE, ORANGE), ("dispatch", "experts", "combine"), strict=True):
        widths = [row[part] for row in times]
        axes.barh(range(len(names)), widths, 0.62, start, color=colour, edgecolor=INK, linewidth=0.4, label=name)
        start = [a + b for a, b in zip(start, widths, strict=True)]
    axes.set_yticks(range(len(names)), [shortened(name, 30) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("ms a layer")
    axes.grid(axis="x", color="#e3e7eb", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False, ncols=3, borderaxespad=0.1, fontsize=8.5)


def gain_svg(sweep: SlotSweep, key: str) -> str:
    """SVG element of the share of a layer's time that each added slot a GPU saves."""
    best = max(sweep.rows[1:], key=lambda row: row.gain, default=sweep.rows[0])
    description = (
        f"From {sweep.rows[0].per_gpu} to {sweep.rows[-1].per_gpu} slots a GPU. Slot {best.per_gpu} saves most: "
        f"{percent(best.gain)} of a layer's time. Recommended: {sweep.recommended}."
    )
    return draw(key, "What each added slot gains", description, SLOTS_SIZE, partial(_paint_gain, sweep))


def memory_svg(sweep: SlotSweep, key: str) -> str:
    """SVG element of the memory that slots take of a GPU; "" where sizes are not known."""
    sizes = [row.bytes for row in sweep.rows if row.bytes is not None]
    if len(sizes) < len(sweep.rows):
        return ""
    description = (
        f"{sizes[0] / 1e9:.1f} GB at {sweep.rows[0].per_gpu} slots a GPU to {sizes[-1] / 1e9:.1f} GB at "
        f"{sweep.rows[-1].per_gpu}, all layers; the KV cache has the rest."
    )
    return draw(key, "Memory of a GPU's slots", description, SLOTS_SIZE, partial(_paint_memory, sweep, sizes))


def _paint_gain(sweep: SlotSweep, figure: Figure) -> None:
    axes = figure.add_axes((0.12, 0.18, 0.86, 0.7))
    _bars(axes, sweep, [100 * row.gain for row in sweep.rows])
    for i, row in enumerate(sweep.rows[1:], 1):
        text = percent(row.gain, signed=True).replace("same", "0")
        _label(axes, i, 100 * row.gain, text)
    axes.axhline(0, color=MUTED, linewidth=0.7)
    axes.margins(y=0.16)
    axes.set_ylabel("layer time saved, %")
    axes.set_title("saved by the last slot added to each GPU", loc="left", fontsize=9)


def _paint_memory(sweep: SlotSweep, sizes: list[float], figure: Figure) -> None:
    axes = figure.add_axes((0.12, 0.18, 0.86, 0.7))
    _bars(axes, sweep, [size / 1e9 for size in sizes])
    for i, row in enumerate(sweep.rows):
        _label(axes, i, sizes[i] / 1e9, _thousands(row))
    axes.margins(y=0.14)
    axes.set_ylabel("GB of a GPU's slots")
    axes.set_title("memory; above the bars: tokens left in the KV cache", loc="left", fontsize=9)


def _label(axes: Axes, x: int, y: float, text: str) -> None:
    """Text above a bar, or below one that hangs."""
    up = y >= 0
    axes.annotate(
        text, (x, y), (0, 2 if up else -2), textcoords="offset points", ha="center", va="bottom" if up else "top",
        fontsize=7, color=INK,
    )  # fmt: skip


def _bars(axes: Axes, sweep: SlotSweep, heights: list[float]) -> None:
    per_gpu = [row.per_gpu for row in sweep.rows]
    colours = [BLUE if n == sweep.recommended else FAINT for n in per_gpu]
    axes.bar(range(len(heights)), heights, color=colours, edgecolor=MUTED, linewidth=0.5, width=0.72)
    every = -(-len(per_gpu) // 12)
    shown = range(0, len(per_gpu), every)
    axes.set_xticks(list(shown), [str(per_gpu[i]) for i in shown])
    axes.set_xlabel("slots a GPU (blue: recommended)")
    axes.grid(axis="y", color="#e3e7eb", linewidth=0.6)
    axes.set_axisbelow(True)


def _thousands(row: SlotRow) -> str:
    if row.kv_tokens is None:
        return ""
    return f"{row.kv_tokens / 1e3:,.0f} k" if row.kv_tokens > 0 else "none"

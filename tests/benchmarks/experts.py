"""Expert placement beside EPLB and its copies, where they are installed: ``python -m tests.benchmarks.experts``.

Prints three Markdown tables (balance, drift, routes); with --readme they replace those between the markers in
docs/measured.md, and their headline that in README.md. Every map, topoplan's too, is judged by the counting of this
folder. Loads are synthetic and experts independent. Peers: TOPOPLAN_EPLB=/path/to/eplb.py (needs torch), or an
installed `eplb`, `vllm` or `sglang`; without one their cells are "-".
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

import numpy as np

import topoplan
from tests.benchmarks import expert_judge as judge
from tests.benchmarks.expert_cases import CASES, DRIFTS, LOADS, TRACED, Case, Floats, Ints, drifted, load, trace
from tests.benchmarks.expert_headline import headline
from tests.benchmarks.expert_peers import Peer, installed
from tests.pages import DOCS, README, write_part
from topoplan.files.arrays import Routes

PAGE, PART = DOCS / "measured.md", "experts benchmark"
BALANCE = (
    "| size: layers x experts, slots / GPUs | load | {peer}: gap | topoplan: gap | worst layer | with weights "
    "| busiest GPU against {peer}'s | layers worse | nearest copy keeps | duplicates | ms |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|\n"
)
DRIFT = (
    "| 288 slots / 32 GPUs | drift | {peer}: slots moved | its balance, stale and fresh | topoplan: moved | balance "
    "| of its own fresh one |\n|---|---|---|---|---|---|---|\n"
)
ROUTES = (
    "| 3 layers, held-out tokens | way | remote hosts a token | balance realised | balance planned |\n"
    "|---|---|---|---|---|\n"
)
Result = TypeVar("Result")


def timed(run: Callable[[], Result], repeat: int = 3) -> tuple[Result, float]:
    """Result and least CPU time in ms of several runs."""
    best = float("inf")
    for _ in range(repeat):
        start = time.process_time()
        result = run()
        best = min(best, time.process_time() - start)
    return result, 1e3 * best


def place(case: Case, tokens: Floats, **more: object) -> topoplan.ExpertPlacement:
    """topoplan's placement of a case."""
    return topoplan.place_experts(
        tokens,
        slots=case.slots,
        gpus=case.gpus,
        hosts=case.hosts,
        groups=case.groups,
        **more,  # type: ignore[arg-type]
    )


def peer_map(peer: Peer, case: Case, tokens: Floats) -> Ints:
    """A peer's map of a case."""
    return peer(tokens, case.slots, case.groups or 1, case.hosts if case.groups else 1, case.gpus)


def balance_row(case: Case, kind: str, peers: dict[str, Peer], seed: int) -> str:
    """A row of the first table."""
    tokens = load(kind, case.layers, case.experts, seed)
    low = (
        judge.grouped_bound(tokens, case.slots, case.gpus, case.hosts, case.groups)
        if case.groups
        else judge.bound(tokens, case.slots, case.gpus)
    )
    made, ms = timed(lambda: place(case, tokens))
    mine = judge.largest(tokens, made.physical_to_logical_map, case.gpus)
    weighted = place(case, tokens, weighted=True)
    freed = judge.largest(tokens, weighted.physical_to_logical_map, case.gpus, weighted.shares())
    twice = [str(judge.duplicates(made.physical_to_logical_map, case.gpus))]
    kept = [near(tokens, made.physical_to_logical_map, mine, case)]
    times = [f"{ms:,.0f}"]
    theirs, cells = None, ["-", "-", "-"]
    for name, peer in peers.items():
        found, took = timed(lambda p=peer: peer_map(p, case, tokens), 1)  # type: ignore[misc]
        times.append(f"{name} {took:,.0f}")
        if theirs is None:
            theirs = judge.largest(tokens, found, case.gpus)
            twice.append(f"{name} {judge.duplicates(found, case.gpus)}")
            kept.append(f"{name} {near(tokens, found, theirs, case)}")
    if theirs is not None:
        worse = int((mine > theirs * (1 + 1e-9)).sum())
        cells = [gap(theirs, low), f"{(mine / theirs - 1).mean():+.2%}", str(worse)]
    own = f"**{gap(mine, low)}** | {(mine / low - 1).max():.2%} | {gap(freed, low)}"
    return (
        f"| {case.name} | {kind} | {cells[0]} | {own} | {cells[1]} | {cells[2]} | {'; '.join(kept)} "
        f"| {'; '.join(twice)} | {'; '.join(times)} |"
    )


def near(tokens: Floats, p2l: Ints, busiest: Floats, case: Case) -> str:
    """Mean over layers of the balance under the nearest copy, of that which even use of copies gives."""
    return f"{(busiest / judge.largest_nearest(tokens, p2l, case.gpus, case.hosts)).mean():.1%}"


def gap(busiest: Floats, low: Floats) -> str:
    """Mean over layers of the busiest GPU above a bound."""
    return f"{(busiest / low - 1).mean():.2%}"


def drift_row(kind: str, sigma: float, peer: Peer | None, seed: int) -> str:
    """A row of the second table: the least moves, in steps of 1 %, that keep 99 % of the fresh balance."""
    case = CASES[0]
    tokens = load(kind, case.layers, case.experts, seed)
    changed = drifted(tokens, sigma, seed)
    level = changed.sum(1) / case.gpus

    def balance(p2l: Ints) -> float:
        return float((level / judge.largest(changed, p2l, case.gpus)).mean())

    cells = ["-", "-"]
    if peer is not None:
        old, new = (peer_map(peer, case, x) for x in (tokens, changed))
        cells = [f"{judge.moved(old, new, case.gpus):.1%}", f"{balance(old):.3f}, {balance(new):.3f}"]
    before, fresh = place(case, tokens), balance(place(case, changed).physical_to_logical_map)
    share, kept = 0, 0.0
    p2l = before.physical_to_logical_map
    while kept < 0.99 * fresh and share < 100:
        share += 1
        p2l = place(case, changed, previous=before, max_moves=f"{share}%").physical_to_logical_map
        kept = balance(p2l)
    went = judge.moved(before.physical_to_logical_map, p2l, case.gpus)
    return f"| {kind} | {sigma} | {cells[0]} | {cells[1]} | **{went:.1%}** | {kept:.3f} | {kept / fresh:.1%} |"


def route_rows(case: Case, peer: Peer | None, seed: int, tokens: int = 20_000) -> list[str]:
    """Rows of the third table: planned on the first tokens of a trace, judged on the others."""
    ids = trace(case.layers, 2 * tokens, seed)
    source = np.random.default_rng([seed, 13]).random(2 * tokens)
    seen = np.array([np.bincount(x[:tokens].ravel(), minlength=256) for x in ids], np.float64)
    later = (ids[:, tokens:], source[tokens:], case.gpus, case.hosts)
    level = seen.sum(1) / case.gpus
    rows = []

    def add(way: str, p2l: Ints, weights: Floats | str, planned: Floats) -> None:
        remote, realised = judge.ride(p2l, *later, weights)
        rows.append(f"| {case.name} | {way} | {remote:.3f} | {realised:.3f} | {(level / planned).mean():.3f} |")

    if peer is not None:
        grouped = peer_map(peer, case, seen)
        anywhere = peer(seen, case.slots, 1, 1, case.gpus)
        add("EPLB, groups whole", grouped, "even", judge.largest(seen, grouped, case.gpus))
        for way in ("nearest", "even"):
            add(f"EPLB, any host, {way}", anywhere, way, judge.largest(seen, anywhere, case.gpus))
    free = place(replace(case, groups=0), seen).physical_to_logical_map
    for way in ("nearest", "even"):
        add(f"topoplan, any host, {way}", free, way, judge.largest(seen, free, case.gpus))
    trip = Routes(ids[:, :tokens].astype(np.int16), source[:tokens])
    made = topoplan.place_experts(seen, slots=case.slots, gpus=case.gpus, hosts=case.hosts, routes=trip)
    assert made.dispatch is not None
    weights = judge.largest(seen, made.physical_to_logical_map, case.gpus, made.shares())
    add("**topoplan, weights**", made.physical_to_logical_map, made.dispatch, weights)
    return rows


def main() -> None:
    """Measure every case and print or store the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="sizes whose name contains this; drift and routes otherwise too")
    parser.add_argument("--readme", action="store_true", help="write the tables into README.md and docs/measured.md")
    args = parser.parse_args()
    peers = installed()
    peer = next(iter(peers.values()), None)
    name = next(iter(peers), "EPLB")
    place(Case("warm", 1, 8, 8, 4, 1), np.ones((1, 8)))  # imports are no part of a plan's time
    tables = [BALANCE.format(peer=name), DRIFT.format(peer=name), ROUTES]
    tables[0] += _said(balance_row(c, kind, peers, args.seed) for c in CASES if args.only in c.name for kind in LOADS)
    if not args.only:
        tables[1] += _said(drift_row(kind, sigma, peer, args.seed) for kind in LOADS[:2] for sigma in DRIFTS)
        tables[2] += _said(row for case in TRACED for row in route_rows(case, peer, args.seed))
    if args.readme:
        whole = "\n".join(tables)
        short = headline(whole)  # before anything is written
        write_part(PAGE, PART, whole)
        write_part(README, PART, short)


def _said(rows: Iterable[str]) -> str:
    """The rows as text, each printed when it is there."""
    found = ""
    for row in rows:
        print(row, flush=True)
        found += row + "\n"
    return found


if __name__ == "__main__":
    main()

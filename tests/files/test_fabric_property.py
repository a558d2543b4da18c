"""Any Fabric reads back from its canonical text, and no change to a file raises anything but InputError."""

import contextlib
from dataclasses import fields
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from topoplan.errors import InputError
from topoplan.files.fabric_text import format_fabric
from topoplan.files.fabric_yaml import parse_fabric
from topoplan.files.job_yaml import parse_job
from topoplan.model.fabric import Attachment, Fabric, Group, Host, HostType, Island, Link, Nic, Tier

LABEL = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=8)
NAME = st.from_regex(r"[a-z]([a-z0-9.-]{0,5}[a-z0-9])?[0-9]{0,4}", fullmatch=True)
RATE = st.floats(1e3, 1e13) | st.sampled_from([50e9, 12.5e9, 450e9])
SIZES = st.integers(1, 4)


@st.composite
def host_types(draw: st.DrawFn) -> tuple[HostType, ...]:
    kinds = []
    for name in draw(st.lists(LABEL, min_size=1, max_size=3, unique=True)):
        gpus = draw(SIZES)
        gpu = st.integers(0, gpus - 1)
        also = st.lists(gpu, max_size=2).map(tuple)
        nic = st.builds(Nic, st.integers(0, 3), RATE, gpu, st.just("") | LABEL, also, st.integers(0, 2))
        other = st.builds(Nic, st.just(0), st.just(0.0) | RATE, gpu, st.just("") | LABEL, network=LABEL)
        parts = st.just(()) | st.tuples(*[gpu] * gpus)
        domains = draw(parts)
        kinds.append(
            HostType(
                name,
                gpus,
                tuple(draw(st.lists(nic, max_size=3))),
                max(map(domains.count, domains)) if domains else draw(st.integers(1, gpus)),
                draw(RATE),
                draw(st.none() | st.floats(1, 1e15)),
                draw(st.none() | st.floats(1, 1e18)),
                draw(st.floats(0.1, 10)),
                domains,
                draw(parts),
                draw(st.sampled_from([(), (1,) * gpus, (gpus,)])),
                tuple(draw(st.lists(other, max_size=2))),
            )
        )
    return tuple(kinds)


@st.composite
def groups(draw: st.DrawFn, tiers: int) -> tuple[Group, ...]:
    """Groups in any order: parents may stand after their children."""
    names = draw(st.lists(LABEL, max_size=6, unique=True)) if tiers else []
    levels = [draw(st.integers(0, tiers - 1)) for _ in names]
    found = []
    for name, tier in zip(names, levels, strict=True):
        above = [k for k, level in enumerate(levels) if level > tier]
        parent = draw(st.sampled_from([-1, *above]))
        rails = draw(st.sampled_from([1, 4]))
        counts: tuple[float, ...] = ()
        if parent >= 0:
            each = st.floats(0, 1e4) | st.integers(0, 512).map(float)
            counts = draw(st.tuples(*[each] * rails)) if draw(st.booleans()) else (draw(each),) * rails
        switches = draw(st.just(()) | st.tuples(*[LABEL | st.just("")] * rails))
        found.append(Group(name, tier, parent, rails, counts, draw(RATE) if parent >= 0 else 0.0, switches))
    return tuple(found)


@st.composite
def fabrics(draw: st.DrawFn) -> Fabric:
    kinds = draw(host_types())
    tiers = tuple(
        Tier(name, draw(st.floats(0.1, 1e3)), draw(st.none() | st.floats(0, 1)))
        for name in draw(st.lists(LABEL, max_size=3, unique=True))
    )
    tree = draw(groups(len(tiers)))
    group = st.integers(0, len(tree) - 1) if tree else st.nothing()
    hosts = []
    for name in draw(st.lists(NAME, min_size=1, max_size=12, unique=True)):
        kind = draw(st.integers(0, len(kinds) - 1))
        nics = len(kinds[kind].nics)
        attachments = (
            st.builds(Attachment, st.integers(0, nics - 1), group, st.integers(0, 2)) if nics and tree else st.nothing()
        )
        kinds_of_alias = draw(st.lists(st.sampled_from(["fqdn", "k8s", "ip"]), max_size=2, unique=True))
        aliases = tuple((alias, draw(st.just("fd00::1") | NAME if alias == "ip" else NAME)) for alias in kinds_of_alias)
        hosts.append(
            Host(
                name,
                kind,
                draw(st.just(-1) | group),
                tuple(draw(st.lists(attachments, max_size=2))) if nics and tree else (),
                aliases,
            )
        )
    order = draw(st.permutations(range(len(hosts))))
    cut = draw(st.integers(0, len(hosts)))
    islands = tuple(
        Island(name, tuple(part), draw(RATE)) for name, part in (("i", order[:cut]), ("j", order[cut:])) if part
    )
    gpus = [(h, gpu) for h, host in enumerate(hosts) for gpu in range(kinds[host.type].gpus)]
    return Fabric(
        draw(LABEL),
        draw(st.sampled_from(["ecmp", "adaptive", "static"])),
        kinds,
        tuple(hosts),
        tiers,
        tree,
        draw(st.sampled_from([(), islands])),
        tuple(draw(st.lists(st.builds(Link, LABEL, LABEL, st.integers(1, 9), RATE, st.integers(0, 3)), max_size=2))),
        frozenset(draw(st.lists(st.sampled_from(gpus), max_size=8))),
        tuple(draw(st.lists(st.text(max_size=20), max_size=2, unique=True))),
        tuple(draw(st.lists(st.text(st.characters(codec="utf-8"), max_size=20), max_size=2, unique=True))),
    )


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(fabrics())
def test_canonical_text_reads_back(fabric: Fabric) -> None:
    text = format_fabric(fabric)
    again = parse_fabric(text)
    for field in fields(Fabric):
        ours, theirs = getattr(fabric, field.name), getattr(again, field.name)
        if field.name == "warnings":  # reading warns of idle rails and of hosts without a group, once more
            theirs = theirs[: len(ours)]
        assert ours == theirs, field.name
    assert yaml.safe_load(text)["kind"] == "Fabric"  # and other programs can read it


GOOD: dict[str, Any] = yaml.safe_load("""
apiVersion: topoplan/v1
kind: Fabric
name: two
host_types:
  hgx: {gpus: 2, scale_up: {domain: host, bandwidth: 450 GB/s}, nics: {count: 2, bandwidth: 400 Gb/s}, speed: 1.5}
  box: {gpus: 1, nics: [{name: m, rail: 1, gpu: 0, bandwidth: 8 Gb/s}], gpu_memory: 1 GB, flops: 1 TFLOPS}
tiers: [leaf, {name: pod, distance: 25, latency: 2 us}]
groups:
  - {name: p, tier: pod}
  - {name: l, tier: leaf, parent: p, rails: 2, rail_links: [1, 2], uplink: 400 Gb/s}
  - {name: m, tier: leaf, parent: p, oversubscription: 2}
hosts:
  - {names: "n[0-3]", type: hgx, group: l, aliases: {fqdn: "n[0-3].x", ip: [a, b, c, "::1"]}}
  - {names: [o], type: box, attach: [{nic: 0, group: m, plane: 1}]}
islands: [{name: i, hosts: "n[0-1]", bandwidth: 900 GB/s, unusable: "n0:1"}]
links: [{a: l, b: s, count: 2, bandwidth: 400 Gb/s, plane: 0}]
unavailable: "n3, n2:[0-1]"
""")
JOB: dict[str, Any] = yaml.safe_load("""
apiVersion: topoplan/v1
kind: Job
name: j
model: {layers: 3, hidden: 8, heads: 2, ffn: 8, vocabulary: 9, expert_ffn: 4, routing: {experts: 4, top_k: 2}}
parallel: {tp: 1, cp: 1, dp: 4, pp: 2, ep: 2, zero: 1}
order: tp-cp-ep-dp-pp
batch: {sequence: 8, micro_batch: 1, micro_batches: 2}
exposure: {dp: 0.5}
experts: {slots_per_gpu: 2, moe_layers: 0-2}
ranks: 8
axes: [{name: dp, size: 8, collectives: [{op: ring, bytes: 2 GB, per: [layer, 2], overlap: 0.5}]}]
""")
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        "", "x", "n[0-3]", "n[0-99999999999]", "1" * 30, "no", "~", "a:b", "400 Gb/s", "-1 x 3 Gb/s", "\x00", "é", "l",
        None, True, -1, 0, 1, 2, 7, 2**40, 10**17, 0.5, -0.5, 1e300, float("nan"), float("inf"), [], {},
    ]
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, good: dict[str, Any]) -> Any:
    """The file with one to three of its parts replaced, removed, doubled or renamed."""
    data: Any = yaml.safe_load(yaml.safe_dump(good))
    for _ in range(draw(st.integers(1, 3))):
        spots = list(places(data))
        if not spots:
            return data
        container, key = draw(st.sampled_from(spots))
        action = draw(st.sampled_from(["replace", "remove", "copy", "rename"]))
        if action == "replace":
            container[key] = draw(ODD | st.lists(ODD, max_size=3))
        elif action == "remove":
            del container[key]
        elif action == "copy" and isinstance(container, list):
            container.append(container[key])
        elif isinstance(container, dict):
            container[str(draw(ODD))] = container.pop(key)
    return data


def places(data: Any) -> list[tuple[Any, Any]]:
    """All (container, key or index) pairs of nested data."""
    keys = data.keys() if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    return [spot for key in keys for spot in [(data, key), *places(data[key])]]


def test_the_good_files_are_good() -> None:
    assert len(parse_fabric(yaml.safe_dump(GOOD)).hosts) == 5
    assert parse_job(yaml.safe_dump(JOB)).job.ranks == 8


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(damaged(GOOD))
def test_damaged_fabric_raises_input_errors_only(data: Any) -> None:
    try:
        fabric = parse_fabric(yaml.safe_dump(data))
    except InputError as error:
        assert error.place is not None  # noqa: PT017
    else:
        assert parse_fabric(format_fabric(fabric)).host_names == fabric.host_names


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(damaged(JOB))
def test_damaged_job_raises_input_errors_only(data: Any) -> None:
    try:
        parse_job(yaml.safe_dump(data))
    except InputError as error:
        assert error.place is not None  # noqa: PT017


@settings(deadline=None)
@given(st.text("ab:{}[],-&*!|>'\"#%@ \n\t?1.~<", max_size=60))
def test_garbage_after_a_good_head(text: str) -> None:
    for read, head in ((parse_fabric, yaml.safe_dump(GOOD)), (parse_job, yaml.safe_dump(JOB))):
        with contextlib.suppress(InputError):
            read(head + text)

"""A fabric of two leaves as text, for tests that go through files."""

from __future__ import annotations


def two_leaves(hosts: int = 6, unavailable: str = "n3") -> str:
    """Fabric YAML: `hosts` hosts of 4 GPUs and 4 NICs on each of two leaves, n0 the first."""
    text = f"""\
apiVersion: topoplan/v1
kind: Fabric
name: small
routing: ecmp
host_types:
  box: {{gpus: 4, scale_up: {{domain: host, bandwidth: 450 GB/s}}, nics: {{count: 4, bandwidth: 400 Gb/s}}}}
tiers: [leaf, core]
groups:
  - {{name: core-0, tier: core}}
  - {{name: leaf-0, tier: leaf, parent: core-0, rails: 4, uplink: 8 x 400 Gb/s}}
  - {{name: leaf-1, tier: leaf, parent: core-0, rails: 4, uplink: 8 x 400 Gb/s}}
hosts:
  - {{names: "n[0-{hosts - 1}]", type: box, group: leaf-0}}
  - {{names: "n[{hosts}-{2 * hosts - 1}]", type: box, group: leaf-1}}
"""
    return text + (f'unavailable: "{unavailable}"\n' if unavailable else "")

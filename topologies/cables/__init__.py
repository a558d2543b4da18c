"""Fabrics from cables: ports and switches, the leaves, rails, planes and tiers that they form."""

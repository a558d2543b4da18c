"""Rank placements to launch files and back; one module a launcher."""

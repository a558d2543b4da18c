"""Placement on shaped links, measured: ``python -m tests.benchmarks.links``."""

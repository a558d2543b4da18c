"""Fewest bytes x distance, proven: models of the whole choice, for small jobs."""

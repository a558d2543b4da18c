"""Placements of few bytes x distance: cuts of the grid, exchanges of expert groups, swaps of hosts."""

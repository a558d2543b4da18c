"""The cost model against published measurements: one table, misses included.

points      the measured points, trimmed, each file with its source
checks      what is predicted from what: collectives, DeepEP's kernels, NCCL's tables, whole steps
table       all rows, as the command prints them and docs/measured.md quotes them
"""

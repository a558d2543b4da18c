"""Collectives as phases of bytes per link plus latency, for every algorithm that NCCL builds.

schedules   what each algorithm sends: phases, rounds and whether the order of ranks matters
phases      loads of a phase on the links of a fabric
rates       what share of its line rate each class of link reaches, and the latency of a hop, with sources
timing      seconds of a schedule on a fabric, and the cheapest of several
saturating  small and medium messages: a fit with four parameters
protocols   the same without NVLink, where NCCL changes from one protocol to another
spreading   what hashing and incast add to perfect spreading
"""

"""Compose readers, solvers and writers into the things that users ask for."""

"""Replicate, pack and bound experts on GPUs."""

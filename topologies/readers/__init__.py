"""Readers of foreign topology formats: text in, Fabric out."""

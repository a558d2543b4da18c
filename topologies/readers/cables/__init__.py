"""Lists and tables of cables, and graphs whose edges are cables."""

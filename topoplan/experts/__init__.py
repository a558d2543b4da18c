"""Expert-map formats of serving engines, read and written; no algorithms."""

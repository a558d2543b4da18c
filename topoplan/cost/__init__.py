"""Price a placement on a fabric: link loads and times. Pure functions."""

"""Networks of simulators."""

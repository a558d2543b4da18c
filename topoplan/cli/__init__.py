"""Commands: parse, call, show. The only place that prints."""

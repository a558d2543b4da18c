"""Find placements: ranks on hosts, experts on GPUs, layers on stages. Solvers never print and never read files."""

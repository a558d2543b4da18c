"""Studies: grids of fabrics, jobs, orders and failures, priced one by one, and what their table says."""

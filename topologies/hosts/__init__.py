"""The inside of hosts: GPUs, NICs and the paths between them, and what is guessed where nothing tells."""

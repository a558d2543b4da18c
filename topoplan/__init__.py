"""topoplan: choose hosts, order ranks and place MoE experts on a GPU cluster's network, and prove it."""

__version__ = "0.1.0"

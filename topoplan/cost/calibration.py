"""Constants of the cost model, each with its source."""

from __future__ import annotations

# NCCL opens several queue pairs a connection; four are what ECMP studies of RoCE training fabrics assume
# (Gangidi et al., RDMA over Ethernet for Distributed AI Training at Meta Scale, SIGCOMM 2024, section 5: E-ECMP
# with queue-pair scaling).
QUEUE_PAIRS = 4

# One-way latency of a small message, CPU side, DeepSeek-V3 hardware paper (ISCA 2025, arXiv 2505.09343, table 5).
SCALE_UP_LATENCY_S = 3.33e-6
SAME_LEAF_LATENCY_S = 2.8e-6  # InfiniBand; RoCE measured 3.6 us
# Two more switches and their fibres: InfiniBand 3.7 - 2.8 us (RoCE 2.0 us), same table.
TIER_LATENCY_S = 0.9e-6

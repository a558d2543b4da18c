"""What a job says of its computing and its storage: how fast, in which pipeline schedule, what it writes and reads."""

from __future__ import annotations

from dataclasses import dataclass

from topoplan.errors import InputError

SCHEDULE_NAMES = ("1f1b", "interleaved", "zb-h1", "dualpipe")
PRECISIONS = ("bf16", "fp8")
RECOMPUTES = ("none", "selective", "full")
NETWORKS = ("front-end", "back-end")
# What frameworks hide behind compute where they can: gradients and weights of data-parallel ranks (Megatron-core's
# overlap-grad-reduce and overlap-param-gather, FSDP's prefetch), chunks of ring attention, messages between stages.
OVERLAPPED = ("cp", "dp", "edp", "pp")

# What is taken for a slip beyond: shares of a peak, seconds of a step, FLOPs a second of one GPU.
MFU = (1e-3, 1.0)
STEP_TIME_S = (1e-6, 1e6)
FLOPS_PER_S = (1e9, 1e18)
STORAGE_MOST = 1e18  # bytes, or steps


@dataclass(frozen=True, slots=True)
class Compute:
    """How fast a job's GPUs compute.

    Parameters
    ----------
    mfu
        Share of the GPUs' peak that the model's FLOPs reach while they compute: waiting and exposed communication are
        left out, so a whole step reaches less. None to take what GPUs of this kind are known to reach.
    step_time_s
        Measured seconds of a whole step on hosts in physical order, from which compute is found; instead of `mfu`.
    flops_per_s
        Dense BF16 peak of a GPU; None for what the fabric says.
    precision
        Of the linear layers: bf16 or fp8.
    recompute
        Activations computed again for the backward pass: none, selective (the attention core) or full; "" unknown,
        which counts as none for time and as whatever still fits for memory.
    fused_attention
        Whether attention keeps no matrix of scores and skips what a causal mask hides.
    overlap
        Axes whose communication the framework runs beside compute.
    """

    mfu: float | None = None
    step_time_s: float | None = None
    flops_per_s: float | None = None
    precision: str = "bf16"
    recompute: str = ""
    fused_attention: bool = True
    overlap: tuple[str, ...] = OVERLAPPED

    def __post_init__(self) -> None:
        if self.mfu is not None and self.step_time_s is not None:
            raise InputError("compute: mfu and step_time both say how fast a step is; give one of them")
        for name, value, (least, most), unit in (
            ("mfu", self.mfu, MFU, "a share of the peak"),
            ("step_time", self.step_time_s, STEP_TIME_S, "seconds"),
            ("flops", self.flops_per_s, FLOPS_PER_S, "a second"),
        ):
            if value is not None and not least <= value <= most:
                raise InputError(f"compute: {name} {value:g} is not between {least:g} and {most:g}, {unit}")
        if self.precision not in PRECISIONS:
            raise InputError(f"compute: precision {self.precision!r} is not one of {', '.join(PRECISIONS)}")
        if self.recompute not in ("", *RECOMPUTES):
            raise InputError(f"compute: recompute {self.recompute!r} is not one of {', '.join(RECOMPUTES)}")


@dataclass(frozen=True, slots=True)
class Storage:
    """What a job reads and writes beside its collectives.

    Parameters
    ----------
    network
        front-end (NICs of their own) or back-end (beside the collectives).
    checkpoint_every
        Steps between two checkpoints; 0 for none.
    checkpoint_bytes
        Size of one over all ranks; 0 for weights and optimizer state of the model.
    bytes_per_token
        Training data read for each token.
    """

    network: str = "front-end"
    checkpoint_every: int = 0
    checkpoint_bytes: float = 0.0
    bytes_per_token: float = 0.0

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise InputError(f"storage: network {self.network!r} is not one of {', '.join(NETWORKS)}")
        for name, value in (
            ("checkpoint_every", self.checkpoint_every),
            ("checkpoint", self.checkpoint_bytes),
            ("data", self.bytes_per_token),
        ):
            if not 0 <= value <= STORAGE_MOST:
                raise InputError(f"storage: {name} {value:g} is not between 0 and {STORAGE_MOST:g}")

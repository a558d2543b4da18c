"""Shell lines by which a step of Slurm gets the GPUs of its job.

A job that is exclusive and asks for no GPUs has all of its nodes', but its steps have none unless they ask (srun's
manual, --gres; so measured with 22.05), and where devices are confined, ranks see no GPU. A job that asked hands its
GPUs on. Clusters without GresTypes=gpu refuse to be asked, so Slurm is asked what its nodes have.
"""

from __future__ import annotations

from topoplan.launchers.shell import fill

_TEXT = """\
# Of GPUs that --exclusive alone gives a job, a step gets none unless it asks: ask for all that the nodes have.
gres=
case " ${SRUN_OPTIONS:-} " in
    *" --gres"* | *" --gpus"* | *" -G"*) ;;
    *)
        if ! scontrol show job "${SLURM_JOB_ID:-}" 2>/dev/null | grep -q '@ASKED_TEXT@'; then
            kinds=$(sinfo -h -n "@NODES_TEXT@" -o %G 2>/dev/null | sort -u) || kinds=
            gres=$(printf '%s\\n' "$kinds" | tr , '\\n' | sed -n 's/^\\(gpu[^(]*\\).*/\\1/p' | sort -u | paste -sd, -)
            if [ -n "$gres" ] && [ "$(printf '%s\\n' "$kinds" | wc -l)" -gt 1 ]; then
                echo "$0: nodes have different GPUs, and this job asked for none: SRUN_OPTIONS=--gres=gpu:N does" >&2
                gres=
            fi
        fi
        ;;
esac
"""
_WARNING = """\
# Of GPUs that --exclusive alone gives a job of Slurm, what mpirun starts there gets none.
if [ -n "${SLURM_JOB_ID:-}" ] && sinfo -h -n "${SLURM_JOB_NODELIST:-}" -o %G 2>/dev/null | grep -q gpu &&
    ! scontrol show job "$SLURM_JOB_ID" 2>/dev/null | grep -q '@ASKED_TEXT@'; then
    echo "$0: this job asked Slurm for no GPUs, so ranks may see none: salloc or sbatch with --gres=gpu:N" >&2
fi
"""
_ASKED = "TresPer[A-Za-z]*=[^ ]*gpu"  # what scontrol shows of a job that asked for GPUs, in all versions
OPTION = '${gres:+"--gres=$gres"}'  # among srun's options


def ask_for_gpus(nodes: str) -> str:
    """Lines that set `gres`, for `OPTION`; `nodes` is shell text of a list of the job's nodes, fit for quotes."""
    return fill(_TEXT, {"NODES_TEXT": nodes, "ASKED_TEXT": _ASKED})


def warn_without_gpus() -> str:
    """Lines that say so where a job asked for none of the GPUs that Slurm manages; for launchers of their own."""
    return fill(_WARNING, {"ASKED_TEXT": _ASKED})

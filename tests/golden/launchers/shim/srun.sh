#!/bin/sh
# plan golden-plan: 9 ranks on 5 hosts.
# srun.sh PROGRAM [ARGS...] in salloc or in a script of sbatch: start PROGRAM once a rank, on whole nodes that
# Slurm gave in any order, also in the parts of a heterogeneous job, which must hold the plan's hosts. Nodes and
# tasks that the plan does not need start nothing.
# SRUN_OPTIONS adds options: --container-image=... runs PROGRAM and the shim in pyxis' container, which needs
# Python 3.8. Nothing reorders ranks: the shim numbers them, not Slurm; RANK counts, SLURM_PROCID does not.
set -eu
if [ $# -eq 0 ]; then
    set -- python3 'it'"'"'s.py'
fi
: "${SLURM_JOB_ID:?run me with sbatch, or in salloc}"
# sbatch runs a copy of this file, so its folder may be another one than the file's own.
here=
for folder in "${TOPOPLAN_LAUNCH_DIR:-}" "$(dirname -- "$0")" "${SLURM_SUBMIT_DIR:-}"; do
    if [ -z "$here" ] && [ -n "$folder" ] && [ -x "$folder/topoplan_shim.py" ]; then
        here=$(CDPATH='' cd -- "$folder" && pwd)
    fi
done
if [ -z "$here" ]; then
    echo "srun.sh: topoplan_shim.py not found: sbatch from its folder, or set TOPOPLAN_LAUNCH_DIR to it" >&2
    exit 2
fi
parts=${SLURM_HET_SIZE:-1}
nodes() {
    if [ "$parts" = 1 ]; then
        scontrol show hostnames "${SLURM_JOB_NODELIST:?}"
        return
    fi
    part=0
    while [ "$part" -lt "$parts" ]; do
        scontrol show hostnames "$(printenv "SLURM_JOB_NODELIST_HET_GROUP_$part")"
        part=$((part + 1))
    done
}
names=$(nodes)
printf '%s\n' "$names" | "$here/topoplan_shim.py" --hosts
# Of GPUs that --exclusive alone gives a job, a step gets none unless it asks: ask for all that the nodes have.
gres=
case " ${SRUN_OPTIONS:-} " in
    *" --gres"* | *" --gpus"* | *" -G"*) ;;
    *)
        if ! scontrol show job "${SLURM_JOB_ID:-}" 2>/dev/null | grep -q 'TresPer[A-Za-z]*=[^ ]*gpu'; then
            kinds=$(sinfo -h -n "$(printf '%s\n' "$names" | paste -sd, -)" -o %G 2>/dev/null | sort -u) || kinds=
            gres=$(printf '%s\n' "$kinds" | tr , '\n' | sed -n 's/^\(gpu[^(]*\).*/\1/p' | sort -u | paste -sd, -)
            if [ -n "$gres" ] && [ "$(printf '%s\n' "$kinds" | wc -l)" -gt 1 ]; then
                echo "$0: nodes have different GPUs, and this job asked for none: SRUN_OPTIONS=--gres=gpu:N does" >&2
                gres=
            fi
        fi
        ;;
esac
# shellcheck disable=SC2086  # options are words
set -- ${gres:+"--gres=$gres"} ${SRUN_OPTIONS:-} "$here/topoplan_shim.py" --surplus "$@"
# The containers of pyxis must see this folder.
case " ${SRUN_OPTIONS:-} ${PYXIS_CONTAINER_IMAGE:+--container-image}${PYXIS_CONTAINER_NAME:+--container-name}" in
    *" --container-image"* | *" --container-name"*)
        case $here in
            *[:,]*)
                echo "srun.sh: pyxis cannot mount $here: move the files to a folder without : and ," >&2
                exit 2
                ;;
            *) ;;
        esac
        set -- "--container-mounts=$here:$here${PYXIS_CONTAINER_MOUNTS:+,$PYXIS_CONTAINER_MOUNTS}" "$@"
        ;;
    *) ;;
esac
# The first would be one name for all hosts; the others would start other numbers of tasks, or on other nodes.
unset TOPOPLAN_HOST SLURM_NTASKS SLURM_NPROCS SLURM_NTASKS_PER_NODE SLURM_TASKS_PER_NODE SLURM_DISTRIBUTION \
    SLURM_HOSTFILE
if [ "$parts" != 1 ]; then
    set -- "--het-group=0-$((parts - 1))" "$@"
fi
exec srun --ntasks-per-node=2 --wait=0 --cpu-bind=none "$@"

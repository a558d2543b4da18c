#!/bin/sh
# plan golden-plan: 9 ranks on 5 hosts.
# run.sh PROGRAM [ARGS...]: start PROGRAM once a rank with MPICH's Hydra, each rank where the plan says. Run it
# on any host that reaches the others; this folder must have the same path on all of them.
# MPIEXEC names another mpiexec, MPIEXEC_OPTIONS adds options. Reordered silently by -ppn, -perhost, -hosts and
# -rr.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mpiexec=${MPIEXEC:-mpiexec}
if [ $# -eq 0 ]; then
    echo "usage: $0 PROGRAM [ARGS...]" >&2
    exit 2
fi
case $("$mpiexec" --version 2>&1) in
    *"HYDRA build details"*) ;;
    *)
        echo "$0: $mpiexec is not MPICH's Hydra; MPIEXEC=/path/to/mpiexec names another" >&2
        exit 2
        ;;
esac
# mpiexec carries this shell's variables to all ranks; the first would be one name for all hosts.
unset TOPOPLAN_HOST HYDRA_HOST_FILE
# Inside a Slurm job Hydra would start through srun, which sorts hosts and takes none twice (pmodels/mpich issue 1575).
if [ -n "${SLURM_JOB_ID:-}" ]; then
    export HYDRA_BOOTSTRAP="${HYDRA_BOOTSTRAP:-ssh}"
fi
# shellcheck disable=SC2086  # options are words
exec "$mpiexec" -f "$here/machines" -n 9 ${MPIEXEC_OPTIONS:-} "$here/topoplan-env" "$@"

#!/bin/sh
# plan golden-plan: 9 ranks on 5 hosts.
# run.sh PROGRAM [ARGS...]: start PROGRAM once a rank with Intel MPI, each rank where the plan says. Run it on
# any host that reaches the others; this folder must have the same path on all of them.
# MPIEXEC names another mpiexec, MPIEXEC_OPTIONS adds options. Reordered silently by -ppn, -perhost, -hosts and
# -rr.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mpiexec=${MPIEXEC:-mpiexec.hydra}
if [ $# -eq 0 ]; then
    echo "usage: $0 PROGRAM [ARGS...]" >&2
    exit 2
fi
case $("$mpiexec" --version 2>&1) in
    *"Intel(R) MPI Library"*) ;;
    *)
        echo "$0: $mpiexec is not Intel MPI; MPIEXEC=/path/to/mpiexec names another" >&2
        exit 2
        ;;
esac
# mpiexec carries this shell's variables to all ranks; the first would be one name for all hosts.
unset TOPOPLAN_HOST I_MPI_PERHOST I_MPI_HYDRA_HOST_FILE I_MPI_HYDRA_MACHINE_FILE
# Inside a Slurm job Hydra would start through srun, which sorts hosts and takes none twice (pmodels/mpich issue 1575).
if [ -n "${SLURM_JOB_ID:-}" ]; then
    export I_MPI_HYDRA_BOOTSTRAP="${I_MPI_HYDRA_BOOTSTRAP:-ssh}"
fi
# Inside a scheduler's job Intel MPI would otherwise take the scheduler's number of processes a host.
export I_MPI_JOB_RESPECT_PROCESS_PLACEMENT=0
# Pinning to cores is left to you: the plan knows none.
export I_MPI_PIN="${I_MPI_PIN:-0}"
# shellcheck disable=SC2086  # options are words
exec "$mpiexec" -machinefile "$here/machines" -n 9 ${MPIEXEC_OPTIONS:-} "$here/topoplan-env" "$@"

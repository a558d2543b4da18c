#!/bin/sh
# plan golden-plan: 9 ranks on 5 hosts.
# run.sh PROGRAM [ARGS...]: start PROGRAM once a rank with Open MPI 4 or 5, each rank where the plan says. Run
# it on any host that reaches the others; this folder must have the same path on all of them.
# MPIRUN names another mpirun, MPIRUN_OPTIONS adds options. Reordered silently by --map-by, --rank-by, -ppr and
# --host.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mpirun=${MPIRUN:-mpirun}
if [ $# -eq 0 ]; then
    echo "usage: $0 PROGRAM [ARGS...]" >&2
    exit 2
fi
case $("$mpirun" --version 2>&1) in
    *"(Open MPI)"* | *"(OpenRTE)"*) ;; # the latter: mpirun.openmpi and orterun of Open MPI 4
    *)
        echo "$0: $mpirun is not Open MPI; MPIRUN=/path/to/mpirun names another" >&2
        exit 2
        ;;
esac
# Of GPUs that --exclusive alone gives a job of Slurm, what mpirun starts there gets none.
if [ -n "${SLURM_JOB_ID:-}" ] && sinfo -h -n "${SLURM_JOB_NODELIST:-}" -o %G 2>/dev/null | grep -q gpu &&
    ! scontrol show job "$SLURM_JOB_ID" 2>/dev/null | grep -q 'TresPer[A-Za-z]*=[^ ]*gpu'; then
    echo "$0: this job asked Slurm for no GPUs, so ranks may see none: salloc or sbatch with --gres=gpu:N" >&2
fi
# Open MPI would cut node-1.a and node-1.b down to node-1; the first variable is for 4, the second for 5.
export OMPI_MCA_orte_keep_fqdn_hostnames=1 PRTE_MCA_prte_keep_fqdn_hostnames=1
# mpirun carries no other variables of this shell to the ranks than those it is told.
carry=
for name in TOPOPLAN_CHECK TOPOPLAN_ONE_GPU TOPOPLAN_MASTER_ADDR TOPOPLAN_MASTER_PORT NCCL_IB_HCA NCCL_TOPO_FILE; do
    if printenv "$name" >/dev/null; then
        carry="$carry -x $name"
    fi
done
# -np is for 4, which otherwise asks for the slots that it guesses. The line below is one that 4 and 5 share.
# shellcheck disable=SC2086  # options are words
exec "$mpirun" -np 9 --hostfile "$here/hosts.seq" --map-by seq --bind-to none $carry ${MPIRUN_OPTIONS:-} \
    "$here/topoplan-env" "$@"

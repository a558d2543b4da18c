#!/bin/sh
# plan golden-plan: 11 ranks on 6 hosts.
# run.sh PROGRAM [ARGS...]: start PROGRAM once a rank with DeepSpeed's launcher over pdsh and ssh, each rank
# where the plan says. Run it on any host that reaches the others; this folder and the current one must have the
# same path on all of them. RANK and LOCAL_RANK are set; no --local_rank argument is passed.
# DEEPSPEED names another deepspeed, DEEPSPEED_OPTIONS adds options. Reordered silently by another --hostfile or
# --launcher; --include, --exclude, --num_nodes and --num_gpus leave ranks out.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
if [ $# -eq 0 ]; then
    echo "usage: $0 PROGRAM [ARGS...]" >&2
    exit 2
fi
set -- "$here/topoplan-env" "$@"
# DeepSpeed carries no variables of topoplan to the ranks; NCCL's it does.
for name in TOPOPLAN_CHECK TOPOPLAN_ONE_GPU TOPOPLAN_MASTER_ADDR TOPOPLAN_MASTER_PORT; do
    if printenv "$name" >/dev/null; then
        set -- "$name=$(printenv "$name")" "$@"
    fi
done
for word in "$PWD" "$@"; do
    case $word in
        '' | *[!A-Za-z0-9_./:=,@+-]*)
            echo "$0: DeepSpeed would hand '$word' to a remote shell as it is: put the command into a script" >&2
            exit 2
            ;;
        *) ;;
    esac
done
master=h6
# shellcheck disable=SC2086  # options are words
exec "${DEEPSPEED:-deepspeed}" --hostfile "$here/hostfile" --launcher pdsh --force_multi \
    --master_addr="${TOPOPLAN_MASTER_ADDR:-$master}" --master_port="${TOPOPLAN_MASTER_PORT:-29500}" \
    --no_python --no_local_rank ${DEEPSPEED_OPTIONS:-} env "$@"

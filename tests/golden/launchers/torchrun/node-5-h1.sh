#!/bin/sh
# plan golden-plan: 11 ranks on 6 hosts. Node 5, ranks 10 to 10.
# node-...-h1.sh [TORCHRUN OPTIONS] SCRIPT [ARGS...]: start this on h1.
# Reordered silently by --rdzv-backend=c10d, which ignores node ranks and sorts hosts by name.
set -eu
export CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=1
export NCCL_IB_HCA="${NCCL_IB_HCA:-=mlx5_1}"
# Hosts have different numbers of ranks; set to 1 this would make torchrun assume that they do not.
export TORCH_ELASTIC_WORKER_IDENTICAL=0
master=h6
exec "${TORCHRUN:-torchrun}" --nnodes=6 --node-rank=5 --nproc-per-node=1 \
    --rdzv-backend=static --master-addr="${TOPOPLAN_MASTER_ADDR:-$master}" \
    --master-port="${TOPOPLAN_MASTER_PORT:-29500}" "$@"

#!/bin/sh
# plan golden-plan: 11 ranks on 6 hosts.
# run.sh [ACCELERATE OPTIONS] SCRIPT [ARGS...]: start this on EVERY host of the plan; it picks the host's own
# configuration by the host's name. ACCELERATE names another accelerate, TOPOPLAN_HOST overrides the host's
# name.
# Reordered silently by --machine_rank, and by --rdzv_backend c10d, which sorts hosts by name as text.
set -eu
find_row() {
    awk -v me="$1" '
    BEGIN { best = 9; node = -1; short = me; if (me !~ /^[0-9.]+$/) sub(/[.].*/, "", short) }
    /^#/ { next }
    {
        node++
        n = split($5, names, ",")
        for (i = 1; i <= n; i++) {
            name = names[i] ""
            score = 9
            if (name == tolower(short) "") score = 4
            if (name == short "") score = 3
            if (name == tolower(me) "") score = 2
            if (name == me "") score = 1
            if (score < best) { best = score; mine = node " " $0 }
        }
    }
    END {
        split(mine, cell)
        if (mine != "") print cell[2], cell[4], cell[5]
    }
' <<'END_OF_HOSTS'
# host	ranks	gpus	hcas	names
h6	0,1	0,1	mlx5_0,mlx5_1	h6
h10	2,3	1,0	mlx5_0,mlx5_1	h10
h2	4,5	0,1	mlx5_0,mlx5_1	h2
h0	6,7	1,0	mlx5_0,mlx5_1	h0
h7	8,9	0,1	mlx5_0,mlx5_1	h7
h1	10	1	mlx5_1	h1
END_OF_HOSTS
}
me=${TOPOPLAN_HOST:-$(uname -n)}
row=$(find_row "$me")
if [ -z "$row" ]; then
    echo "$0: this host calls itself $me, which is not in the plan" >&2
    echo "$0: set TOPOPLAN_HOST to the name that the plan uses for it" >&2
    exit 6
fi
read -r host gpus hcas <<EOF
$row
EOF
export CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES="$gpus"
if [ "$hcas" != - ]; then
    export NCCL_IB_HCA="${NCCL_IB_HCA:-=$hcas}"
fi
# Hosts have different numbers of ranks; set to 1 this would make torchrun assume that they do not.
export TORCH_ELASTIC_WORKER_IDENTICAL=0
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
exec "${ACCELERATE:-accelerate}" launch --config_file "$here/machine-$host.yaml" "$@"

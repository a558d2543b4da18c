#!/bin/sh
# What a user can see of this host and of its place in the network, for topoplan.
#
#   sh collect.sh [FOLDER]     writes FOLDER/HOST.collected (FOLDER: topoplan-collected)
#   sh collect.sh -            prints it
#
# Run it once on every host of an allocation, into one shared folder:
#   srun --ntasks-per-node=1 sh collect.sh FOLDER        mpirun --map-by ppr:1:node sh collect.sh FOLDER
# then:  topoplan import FOLDER
#
# It needs no root, changes nothing, writes nothing but its own file, opens no network connection itself, and gives
# every command TOPOPLAN_SECONDS (20) seconds. Tools that are missing are noted and skipped.
#
# What only an administrator can see, and what it adds:
#   ibnetdiscover              the InfiniBand network above the first switch: cables, trunks, speeds
#   lldpcli on the switches    the same for Ethernet (lldpcli on hosts needs the group of lldpd)
#   UFM, NetQ, NetBox exports  the same from management systems
#   kubectl get nodes -o json  labels of all nodes: racks, NVLink cliques, instance types
# Ask for those files and name them beside the folder: topoplan import FOLDER ibnetdiscover.out

set -u
LC_ALL=C
export LC_ALL
PATH=${PATH:-/usr/bin:/bin}:/usr/sbin:/sbin:/usr/local/sbin
export PATH

sys=${TOPOPLAN_SYSFS:-/sys}
labels=${TOPOPLAN_PODINFO:-/etc/podinfo}
seconds=${TOPOPLAN_SECONDS:-20}
case $seconds in '' | *[!0-9]*) seconds=20 ;; esac

has() { command -v "$1" >/dev/null 2>&1; }

if has timeout && timeout -k 1 5 true >/dev/null 2>&1; then clock=yes; else clock=no; fi

# limited COMMAND...: runs it for at most $seconds, without input and without its complaints.
limited() {
    if [ "$clock" = yes ]; then
        timeout -k 2 "$seconds" "$@" </dev/null 2>/dev/null
        return
    fi
    "$@" </dev/null 2>/dev/null &
    child=$!
    (sleep "$seconds" && kill "$child") >/dev/null 2>&1 &
    guard=$!
    wait "$child"
    status=$?
    kill "$guard" >/dev/null 2>&1
    return "$status"
}

# barred: every line of the input behind a bar, so that none looks like the head of a section.
barred() { tr -d '\000\r' | sed -n -e '1,200000s/^/|/p'; }

# section NAME COMMAND...: what a command prints; "missing" where there is no such command.
section() {
    name=$1
    shift
    if has "$1"; then
        printf '@ %s\n' "$name"
        limited "$@" | barred
    else
        printf '@ %s missing\n' "$name"
    fi
}

# value FILE: the first line of a small file, "" when it cannot be read.
value() {
    line=
    if [ -r "$1" ]; then read -r line 2>/dev/null <"$1" || :; fi
    printf '%s' "$line"
}

# place FILE: where a device is in the tree of /sys/devices.
place() { (cd -P "$1" 2>/dev/null && pwd) || :; }

show_host() {
    printf '@ host\n'
    printf '|name=%s\n' "$(uname -n)"
    if has hostname; then
        printf '|fqdn=%s\n' "$(limited hostname -f | head -n 1)"
        printf '|ip=%s\n' "$(limited hostname -I | head -n 1)"
    fi
    printf '|slurm=%s\n' "${SLURMD_NODENAME:-}"
    printf '|kubernetes=%s\n' "${NODE_NAME:-${MY_NODE_NAME:-${K8S_NODE_NAME:-}}}"
}

show_infiniband() {
    printf '@ infiniband\n'
    for device in "$sys"/class/infiniband/*; do
        [ -e "$device" ] || continue
        net=$(for item in "$device"/device/net/*; do [ -e "$item" ] && printf '%s,' "${item##*/}"; done)
        for port in "$device"/ports/*; do
            [ -e "$port" ] || continue
            printf 'device=%s\tport=%s\tnode_guid=%s\tgid=%s\tstate=%s\trate=%s\tlink=%s\tnuma=%s\tplace=%s\tnet=%s\n' \
                "${device##*/}" "${port##*/}" "$(value "$device/node_guid")" "$(value "$port/gids/0")" \
                "$(value "$port/state")" "$(value "$port/rate")" "$(value "$port/link_layer")" \
                "$(value "$device/device/numa_node")" "$(place "$device/device")" "$net"
        done
    done | barred
}

show_net() {
    printf '@ net\n'
    for item in "$sys"/class/net/*; do
        [ -e "$item/device" ] || continue
        printf 'name=%s\tmac=%s\tspeed=%s\tstate=%s\tplace=%s\n' "${item##*/}" "$(value "$item/address")" \
            "$(value "$item/speed")" "$(value "$item/operstate")" "$(place "$item/device")"
    done | barred
}

# GPUs (classes 03 and 12) and network adapters (02).
show_pci() {
    printf '@ pci\n'
    for device in "$sys"/bus/pci/devices/*; do
        class=$(value "$device/class")
        case $class in
        0x03* | 0x12* | 0x02*)
            printf 'address=%s\tclass=%s\tvendor=%s\tdevice=%s\tnuma=%s\tplace=%s\n' "${device##*/}" "$class" \
                "$(value "$device/vendor")" "$(value "$device/device")" "$(value "$device/numa_node")" \
                "$(place "$device")"
            ;;
        esac
    done | barred
}

show_labels() {
    printf '@ kubernetes\n'
    for file in labels annotations; do
        if [ -r "$labels/$file" ]; then barred <"$labels/$file"; fi
    done
}

# The lines of nvidia-smi -q that tell the NVLink domain; the whole of it is a thousand lines a GPU.
# No pipeline inside `limited`: what it stops must be the command itself.
show_fabric() {
    if has nvidia-smi; then
        printf '@ nvidia-smi-fabric\n'
        limited nvidia-smi -q |
            grep -E '^GPU |^ *(Fabric|State|Status|CliqueId|ClusterUUID|Clique Id|Cluster UUID) *(:|$)' | barred
    else
        printf '@ nvidia-smi-fabric missing\n'
    fi
}

collect() {
    printf '# topoplan collected 1\n'
    show_host
    section nvidia-smi-list nvidia-smi -L
    section nvidia-smi-topo nvidia-smi topo -m
    show_fabric
    show_infiniband
    show_net
    show_pci
    section ibstat ibstat
    section lldp lldpcli -f json show neighbors
    section scontrol-topology scontrol show topology
    if [ -n "${SLURMD_NODENAME:-}" ]; then section scontrol-node scontrol -o show node "$SLURMD_NODENAME"; fi
    show_labels
    printf '@ end\n'
}

folder=${1:-topoplan-collected}
if [ "$folder" = - ]; then
    collect
    exit 0
fi
# A name that is safe as a file name whatever the host is called.
safe=$(printf '%s' "${SLURMD_NODENAME:-$(uname -n)}" | tr -c 'A-Za-z0-9._-' '_' | sed -e 's/^[.-]*//' | cut -c 1-200)
case $folder in -*) folder=./$folder ;; esac
target=$folder/${safe:-host}.collected
part=$folder/.${safe:-host}.$$
mkdir -p "$folder" || exit 2
trap 'rm -f "$part"' EXIT
trap 'exit 130' INT TERM
collect >"$part" || exit 2
mv -f "$part" "$target" || exit 2
printf 'topoplan: wrote %s\n' "$target" >&2

"""Kubernetes: each kind of job as one file of objects, in which a small program gives every pod its planned ranks.

Schedulers choose the node of a pod, and none can be told an order of nodes for pod indices. So pods start through
`topoplan.launchers.portable.pod`, which looks up the ranks of whatever node it is on in the plan's table (a ConfigMap).
"""

from topoplan.launchers.kubernetes import jobset, kueue, leaderworkerset, mpijob, pytorchjob, trainjob, volcano

LAUNCHERS = (
    mpijob.LAUNCHER,
    pytorchjob.LAUNCHER,
    trainjob.LAUNCHER,
    jobset.LAUNCHER,
    leaderworkerset.LAUNCHER,
    volcano.LAUNCHER,
    kueue.LAUNCHER,
)

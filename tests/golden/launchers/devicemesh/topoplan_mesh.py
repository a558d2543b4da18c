# plan golden-plan: 9 ranks on 5 hosts. Used by your training program: import topoplan_mesh, with hosts.tsv
# beside it.
# Nothing reorders it silently: ranks are taken from the host's name and the local rank, whatever the launcher's
# numbers are, and a mesh over other ranks is refused.
...

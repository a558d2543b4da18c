"""Programs that run where topoplan is not installed: standard library alone, from Python 3.8 on.

They are modules here, to be checked and tested like any other; `topoplan.launchers.bundle` writes each as one file.
"""

"""What topoplan reasons about: immutable objects that know nothing of files, solvers or launchers."""

"""``python -m topoplan``."""

from topoplan.cli import main

main()

"""What names say: of devices and their ports, and tables of names beside a file."""

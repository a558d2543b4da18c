"""Below and above the host: the GPUs inside it, and the NVLink domains that are wider than it."""

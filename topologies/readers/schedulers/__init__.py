"""What Slurm, Kubernetes, Volcano and topograph say of where hosts are."""

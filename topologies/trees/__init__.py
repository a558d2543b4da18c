"""Fabrics from what schedulers, clouds and Kubernetes tell: switches, the hosts under them and NVLink domains."""

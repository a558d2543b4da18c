"""``topoplan doctor``."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import click

from topoplan import __version__

PACKAGES = (
    "numpy",
    "scipy",
    "networkx",
    "ortools",
    "pulp",
    "matplotlib",
    "click",
    "rich",
    "pydantic",
    "PyYAML",
    "jinja2",
)
LAUNCH_TOOLS = ("mpirun", "mpiexec", "torchrun", "srun")


@click.command("doctor")
def command() -> None:
    """Show versions, and which launchers stand on this machine's PATH."""
    import shutil  # noqa: PLC0415

    click.echo(f"topoplan {__version__}, Python {platform.python_version()}, {platform.system()}")
    for package in PACKAGES:
        try:
            click.echo(f"  {package} {version(package)}")
        except PackageNotFoundError:
            click.echo(f"  {package} missing: pip install {package}")
    for tool in LAUNCH_TOOLS:
        click.echo(f"  {tool}: {shutil.which(tool) or 'not on PATH'}")

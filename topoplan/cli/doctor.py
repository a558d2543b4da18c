"""``topoplan doctor``."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import click

from topoplan import __version__
from topoplan.cli.render import document, table

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
@click.option("--validate", is_flag=True, help="Show how far the cost model is from published measurements.")
@click.option("-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True)
def command(validate: bool, output: str) -> None:
    """Show versions, and which launchers stand on this machine's PATH; or judge the cost model by measurements."""
    if validate:
        _validate(output)
    else:
        _versions(output)


def _versions(output: str) -> None:
    import shutil  # noqa: PLC0415

    packages = {package: _version(package) for package in PACKAGES}
    tools = {tool: shutil.which(tool) for tool in LAUNCH_TOOLS}
    if output != "table":
        document({"topoplan": __version__, "python": platform.python_version(), **packages, **tools}, output)
        return
    click.echo(f"topoplan {__version__}, Python {platform.python_version()}, {platform.system()}")
    for package, found in packages.items():
        click.echo(f"  {package} {found}" if found else f"  {package} missing: pip install {package}")
    for tool, path in tools.items():
        click.echo(f"  {tool}: {path or 'not on PATH'}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _validate(output: str) -> None:
    from topoplan.studies.validation import table as validation  # noqa: PLC0415 - slow to import

    found = validation.rows()
    if output != "table":
        document({"summary": validation.summary(found), "rows": [validation.plain(row) for row in found]}, output)
        return
    table("", validation.HEAD, (validation.cells(row) for row in found), left=2)
    click.echo(validation.summary(found))
    for line in validation.notes(found):
        click.echo(f"  {line}")

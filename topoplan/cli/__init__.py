"""Commands: parse, call, show. The only place that prints."""

from __future__ import annotations

import os
import sys

import click

from topoplan import __version__
from topoplan.cli.lazy import LazyGroup
from topoplan.errors import TopoplanError

INTERRUPTED = 130

# command -> (module, what it does); a module is imported when its command runs
COMMANDS = {
    "solve": ("topoplan.cli.solve", "Choose hosts, order ranks and place experts; write launch files and a report."),
    "experts": ("topoplan.cli.experts", "Replicate and place MoE experts from their loads."),
    "score": ("topoplan.cli.score", "Price an order that exists, beside the plain orders."),
    "verify": ("topoplan.cli.verify", "Check launch files, or what a run reported, against a plan."),
    "diff": ("topoplan.cli.diff", "Show what moves between two plans, what it costs, and the state to copy."),
    "export": ("topoplan.cli.export", "Write the launch files of one launcher from a plan."),
    "report": ("topoplan.cli.report", "Write the report of a plan, as HTML or PDF."),
    "sweep": ("topoplan.cli.sweep", "Price a grid of fabrics, jobs, orders and failures, and answer a question."),
    "explain": ("topoplan.cli.explain", "Say in words what a plan does and why."),
    "import": ("topoplan.cli.import_", "Turn a foreign topology file into Fabric YAML."),
    "show": ("topoplan.cli.show", "Show a fabric or a plan."),
    "validate": ("topoplan.cli.validate", "Check Fabric, Job and plan files."),
    "catalog": ("topoplan.cli.catalog", "List the reference fabrics, host types and models, or print one."),
    "schema": ("topoplan.cli.schema", "Print the JSON Schema of a file format."),
    "doctor": ("topoplan.cli.doctor", "Show versions, solvers and what this machine lacks."),
    "completion": ("topoplan.cli.completion", "Print the shell completion script for bash, zsh or fish."),
}

EXAMPLES = """\b
Examples:
  topoplan solve job.yaml --topology fabric.yaml --out plan
  topoplan solve job.yaml --topology ibnetdiscover.out --hosts "node-[1-16]" --out plan
  topoplan verify plan
  topoplan show two-pods-fragmented"""


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "TOPOPLAN"},
)
@click.version_option(__version__, prog_name="topoplan")
def cli() -> None:
    """Plan where the ranks and experts of a GPU job go on the network, and prove it.

    topoplan reads a description of a fabric, chooses hosts, orders ranks, places MoE experts, and writes the files
    that launchers and serving engines obey, with a bound on how much better any other plan could be.
    """


def main(args: list[str] | None = None) -> None:
    """Entry point: run a command and exit with its code."""
    sys.exit(run(args))


def run(args: list[str] | None = None) -> int:
    """Exit code of a command; see `topoplan.errors` for what each means."""
    try:
        result = cli.main(args, prog_name="topoplan", standalone_mode=False)
    except TopoplanError as error:
        click.echo(f"topoplan: error: {error}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("topoplan: interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # the reader of our output went away: point stdout at nothing so that closing it stays quiet
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("TOPOPLAN_DEBUG"):
            raise
        click.echo(f"topoplan: internal error: {type(error).__name__}: {error}", err=True)
        click.echo("  hint: this is a defect of topoplan; TOPOPLAN_DEBUG=1 shows where", err=True)
        return 1
    return result if isinstance(result, int) else 0

"""The command line: every room of riskmodels as one command, with clear errors and exit codes."""

from riskmodels.cli.commands import main

__all__ = ["main"]

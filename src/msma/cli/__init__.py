"""The command line: one command for each public function, tables for people, ``--json`` for machines."""

from msma.cli.program import app, run

__all__ = ["app", "run"]

"""Errors a user can cause, each with the exit code that the command line ends with.

A message names the bad value, what is valid and the way out; the command line
prints it on one line and shows no traceback.
"""

from __future__ import annotations


class CombsearchError(Exception):
    """Base of every error that a user can cause."""

    exit_code = 1


class UsageError(CombsearchError):
    """A bad argument, a bad file, or a request that a backend cannot serve."""

    exit_code = 2


class RunMismatchError(CombsearchError):
    """The run folder belongs to another configuration or numerics version."""

    exit_code = 3


class CorruptDataError(CombsearchError):
    """Saved data does not match its checksum or schema."""

    exit_code = 4


class NoSpaceError(CombsearchError):
    """The disk is full; everything committed so far is valid."""

    exit_code = 5


class InterruptedRunError(CombsearchError):
    """The run was asked to stop and can be continued by the same command."""

    exit_code = 75

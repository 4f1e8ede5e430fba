"""Long tests of faults, with the counts of the fault table; ``make soak`` runs them.

Each is a script, ``python tests/soak/<name>.py [--count N] [-o FILE.json]``, and a module
whose functions the quick tests call with small counts.
"""

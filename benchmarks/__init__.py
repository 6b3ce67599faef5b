"""What the portal reaches, measured against what the machine can do in the same run.

A benchmark is a module here with ``ROWS`` (its usual size) and ``measure(rows)``, which returns a Result or a list of
them. ``make bench`` runs all benchmarks, ``make bench NAME=csv ROWS=2000000`` one at a size. Each result is one line
of JSON: ``name``, ``rows``, ``value``, ``unit``, ``goal``, ``floor``, ``holds`` (the floor), and ``compared_with``.
Data are invented in a temporary folder. Read ratios: both sides of one ran in turn on the same machine.
"""

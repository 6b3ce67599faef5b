"""What the portal reaches, measured against what the machine can do in the same run.

A benchmark is a module here with ``ROWS`` (its usual size) and ``measure(rows) -> Result``. ``make bench`` runs all of
them, ``make bench NAME=csv ROWS=2000000`` one at a size. Each prints one line of JSON: ``name``, ``rows``, ``value``,
``unit``, ``goal``, ``floor``, ``holds`` (the floor), and ``compared_with``. Data are invented by the benchmark in a
temporary folder. Read ratios: both sides of one ran in turn on the same machine.
"""

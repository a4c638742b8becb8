"""Measurements: one program for one question, each against its comparison in the same run.

`python -m bench` runs them all and writes `results/NAME.json`; `python -m bench.table` makes docs/performance.md of
those. Times alone say little on a shared machine: ratios within one run are what is promised.
"""

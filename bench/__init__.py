"""Measurements: one program for one question, each against its comparison in the same run.

`python -m bench` runs them all and writes `results/NAME.json`; `python -m bench.table` generates
docs/reference/performance.md from those files. Times alone say little on a shared machine, so the targets are ratios
within one run.
"""

"""Measurements: the monitor beside the best that dom0 can do, in one boot.

`dom0_side`, `dom0_latency` and what they import run in dom0, by the standard library alone.  All else runs on
the machine where `tinyvmi-build bench` was called, which with --host is that dom0.
"""

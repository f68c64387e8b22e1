"""Measurements: the monitor beside the best that dom0 can do, in one boot.

`inside` and what it imports run in dom0 (standard library only, as all that does); the rest on
the machine where `tinyvmi-build bench` was called, which with --host is that dom0.
"""

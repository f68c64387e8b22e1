"""The checks: one folder each holds all that Python knows of it (see `check`); `registry` finds them.

A kernel whose mechanism a check does not know makes it *unverifiable* with that reason, never a false
verdict.
"""

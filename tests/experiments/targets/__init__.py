"""Bases × kinds of targets, clean and tampered, in nested labs: `make targets`, docs/results/targets.md."""

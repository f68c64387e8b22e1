"""The whole grid of kernels and circumstances: `python -m tests.experiments.matrix`, or `make matrix`."""

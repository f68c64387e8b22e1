"""The whole grid of kernels and circumstances: `python -m tests.dump.matrix`, or `make matrix`."""

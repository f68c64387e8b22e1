"""The facts and golden values of kernels in a file, keyed by build-id."""

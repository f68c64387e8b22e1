"""Build, launch and listen to TinyVMI monitors (see README.md)."""

__version__ = "0.1.0"

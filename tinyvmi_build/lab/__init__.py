"""Nested Xen under QEMU: packages, dom0, target, scenarios (see docs/guide/lab.md)."""

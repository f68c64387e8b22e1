"""The `tinyvmi-build` command: one module a verb."""

"""The Mini-OS underneath: which tree a configuration names, and its sources (docs/guide/minios-tree.md)."""

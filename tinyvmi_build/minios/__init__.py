"""The Mini-OS underneath: which tree a configuration names, and that tree's sources (docs/guide/minios-tree.md)."""

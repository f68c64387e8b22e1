"""Memory images in files: which guest frames lie where (docs/dumps.md), and judging them."""

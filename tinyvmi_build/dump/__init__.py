"""Memory images in files: which guest frames lie where (docs/guide/memory-images.md), and checking them."""

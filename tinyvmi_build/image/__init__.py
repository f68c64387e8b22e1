"""From rendered files to an image that Xen starts, and back: what is in an image."""

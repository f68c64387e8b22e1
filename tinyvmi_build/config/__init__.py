"""`tinyvmi.toml`: what a monitor is to be, from defaults, files, environment and flags."""

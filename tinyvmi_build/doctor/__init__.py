"""What this machine has, what it lacks, and what mends that."""

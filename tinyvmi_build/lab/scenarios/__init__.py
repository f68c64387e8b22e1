"""The lab's scenarios, one a file: each module has a SCENARIO (lab/scenario.py)."""

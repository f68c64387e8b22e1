"""How a run is reported: to a person (terminal.py), to a program (json_lines.py), how late (latency.py)."""

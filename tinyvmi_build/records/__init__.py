"""Verdicts and the record stream that carries them from a monitor's console."""

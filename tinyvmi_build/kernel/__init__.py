"""A kernel package → facts: payload, ELF, symbols, types, relocations."""

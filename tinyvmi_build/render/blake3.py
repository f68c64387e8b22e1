"""The constants of BLAKE3, as its paper defines them."""

from __future__ import annotations

from typing import Any

from tinyvmi_build.render import sha256

#: Table 2: how the words of a block are permuted after each round.
_PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
_ROUNDS = 7


def _schedule() -> list[list[int]]:
    """The order of the message's words in each round."""
    rounds = [list(range(16))]
    while len(rounds) < _ROUNDS:
        rounds.append([rounds[-1][i] for i in _PERMUTATION])
    return rounds


def context() -> dict[str, Any]:
    """Values of `templates/c/blake3*.c.j2`."""
    return {
        "iv": sha256.context()["h0"],  # the same numbers
        "schedule": _schedule(),
        # 2.2: columns, then diagonals, of the state as a matrix of four rows.
        "quarters": [
            [i % 4, 4 + (i + i // 4) % 4, 8 + (i + 2 * (i // 4)) % 4, 12 + (i + 3 * (i // 4)) % 4]
            for i in range(8)
        ],
    }

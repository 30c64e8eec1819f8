"""How two networks are trained in turn: the passes of a step, and where each has its samples from.

A step is an update of the discriminator, on real rows and as many generated ones; every so many steps it ends with one
of the generator, whose samples are those that the discriminator has just seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skneural.backends.passes import make_passes

#: The passes of a step: of the discriminator on real and on generated rows, and of the generator.
PASSES = ("real", "generated", "generator")
#: What makes another seed of a seed, so that noise on generated rows is not that on real ones.
OTHER = 0x5851F42D4C957F2D
#: Seeds stay below it.
SEEDS = 2**62


@dataclass(frozen=True)
class Game:
    """What is trained by what.

    Parameters
    ----------
    targets : tuple of float
        What the discriminator aims at for real and for generated rows, and the generator for its own.
    n_critic : int
        Updates of the discriminator for one of the generator.
    rate : float
        Learning rate of the generator, in units of that of the discriminator.
    weight_limit : float
        Of the discriminator's parameters; 0: none.
    spectral_norm : float
        The largest one of the discriminator's matrices of weights, where vectors are kept to find it by; 0: any.
    decay : float
        Of the averages of the generator's parameters, where there are any.
    """

    targets: tuple
    n_critic: int = 1
    rate: float = 1.0
    weight_limit: float = 0.0
    spectral_norm: float = 0.0
    decay: float = 0.0


def averages_of(program):
    """Where the averages of the generator's parameters begin, and how many there are; (0, 0) for none."""
    blocks = program.named("averages_")
    return (blocks[0].start, blocks[0].shape[0]) if blocks else (0, 0)


def passes_of(program, game):
    """The table of passes of a step.

    The last one begins at the gate: the samples that the generator has made for the pass before are still there.
    """
    gate = next(i for i, operation in enumerate(program.operations) if operation.kind == "gate")
    n_ops = len(program.ops)
    of_discriminator = {
        "end": n_ops,
        "back": gate + 1,
        "update_begin": gate + 1,
        "update_end": n_ops,
        "counts": 1.0,
        "weight_limit": game.weight_limit,
    }
    start, count = averages_of(program)
    return make_passes(
        {**of_discriminator, "gap_begin": 1, "gap_end": gate, "gathers": 1},
        {**of_discriminator, "spectral_norm": game.spectral_norm},
        {
            "end": n_ops,
            "reuses": gate,
            "back": 1,
            "update_begin": 1,
            "update_end": gate,
            "every": game.n_critic,
            "rate": game.rate,
            "averages": start,
            "n_averaged": count,
            "decay": game.decay,
        },
    )


def sources_of(game, seed, dtype):
    """Where the samples of the passes come from: all have one target for all rows."""
    other = (seed ^ OTHER) % SEEDS
    sources = []
    for name, target in zip(PASSES, game.targets, strict=True):
        is_generated = name != "real"
        sources.append(
            {
                "targets": np.full(1, target, dtype),
                "n_targets": 0,
                "weights": 0,
                "seed": other if is_generated else seed,
                "generated": int(is_generated),
            }
        )
    return sources

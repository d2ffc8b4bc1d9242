"""The distributed engine: one process, replicas (DDP), or DeepSpeed's ZeRO.  The only importer of accelerate and deepspeed.

    group      the processes: device, precision, collectives, seeds
    base       what every engine does for the loop and for checkpoints
    replicas   one process, or a whole copy of the model in each (accelerate)
    zero       optimizer, gradients, weights spread over the processes (DeepSpeed)
    proof      what was asked for, held against what is there

The engine that was asked for is the engine that runs: the usual stack falls back in silence (``docs/design.md``, "Engines").
"""

from job.workers.engine.base import Engine

__all__ = ["Engine"]

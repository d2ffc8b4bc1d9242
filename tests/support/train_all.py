"""Train several prepared run directories in one process group, to pay for the imports once.

A run directory whose name begins with the name of a sabotage is trained with that sabotage; what it raises is written beside it.
"""

import json
import os
import sys
from pathlib import Path

from job.errors import JobError
from job.run_dir import RunDir
from job.settings import resolved
from job.workers import train
from tests.support.quantized import use_plain_kernels
from tests.support.sabotage import SABOTAGES

for argument in sys.argv[1:]:
    run_dir = RunDir(Path(argument))
    settings = resolved.read(run_dir.settings)
    if settings.tuning.method == "qlora":
        use_plain_kernels()
    sabotage = SABOTAGES.get(run_dir.root.name.partition("-")[0])
    if sabotage is None:
        train.main(run_dir, settings)
        continue
    with sabotage():
        try:
            train.main(run_dir, settings)
            outcome = None
        except JobError as error:
            outcome = {"code": error.exit_code, "message": error.message}
    rank = train.Engine.open(settings).rank
    (run_dir.root / f"sabotaged-{rank}.json").write_text(json.dumps(outcome))

# As the programs end (`job.workers.program`): torn down by the interpreter, a process group now and then aborts at the very end.
sys.stdout.flush()
sys.stderr.flush()
os._exit(0)

"""Train several prepared run directories in one process group, to pay for the imports once."""

import sys
from pathlib import Path

from job.run_dir import RunDir
from job.settings import resolved
from job.workers import train

for argument in sys.argv[1:]:
    run_dir = RunDir(Path(argument))
    train.main(run_dir, resolved.read(run_dir.settings))

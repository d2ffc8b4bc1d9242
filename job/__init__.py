"""The fine-tuning job you can hand to a cluster and forget.

The map, in the order the data flows:

    settings    JOB_* variables in, checked settings out
    pipeline    fetch → prepare → train → evaluate → publish, on one screen
    stages      one public function each, record in, record out
    storage     folders, S3 and the Hub; the run's log and the commit protocol
    cluster     which node and worker this is; starting, watching and stopping workers
    workers     prepare, train and evaluate: the only home of torch, in processes of their own
    reporting   logs, progress, metrics, report, model card
    inspection  runs in a store, looked at from outside
    demo        a corpus and a small model, to see it all without anything from outside

The node process (everything but ``workers``) never imports torch; the workers have no network.  They meet in the run directory
(`job.run_dir`).  What goes from stage to stage is in `job.records`, how it can end in `job.errors`.
"""

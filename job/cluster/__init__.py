"""The machine around the job: nodes and workers, how they are started, stopped and watched."""

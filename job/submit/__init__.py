"""From one settings file to a scheduler: what ``job submit`` prints, compares and sends.

``request`` reads and checks the file; ``kubernetes``, ``slurm`` and ``docker`` each turn it into what their scheduler takes, without
touching anything; ``send`` calls the scheduler's own program.  There is no second template: the manifests are ``k8s/`` and the script
is ``slurm/``, the folders at the top of the repository, which travel inside the package (``shipped``).
"""

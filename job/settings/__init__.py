"""Settings: the environment in, one frozen and checked object out."""

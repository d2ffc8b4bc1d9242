"""The programs that hold torch and have no network: prepare, train, evaluate, and what they are made of."""

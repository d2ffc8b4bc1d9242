"""The demo: a corpus that the project makes itself, and the settings to train on it."""

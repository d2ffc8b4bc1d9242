"""Where inputs come from and results go: object stores and local folders behind one narrow protocol (`base`)."""

"""What of a model is trained: all weights, its last layers, or an adapter; `method` is the door."""

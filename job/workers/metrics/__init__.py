"""Scores of predictions, as plain numbers and lists ready for JSON: what is undefined is None, never NaN.

One module for each kind of problem; ``table`` finds them and knows which way each metric is better; ``interval`` says how sure
the main one is.
"""

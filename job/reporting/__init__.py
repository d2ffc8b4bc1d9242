"""What people see of a run: logs, progress, metrics on disk, summary, report and model card.

Part of the node half: standard library, jinja2 and the Hub's card classes, never torch or an array library.
"""

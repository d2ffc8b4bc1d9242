"""One reader per file format: from fetched files to chunks of plain values, and from broken files to sentences.

A reader yields at most `base.CHUNK_ROWS` rows at a time, so a large file never stands in memory as Python objects.  It knows
its format and nothing of labels, splits or tokens.
"""

"""Columns whose truth is known before they are written, and whether the product reads them right or objects.

``python -m tests.columns --columns 10000 --seed 1`` prints the table of docs/READING.md.

What does not belong here: anything that imports the product's parsers. The truth is made first and written second; the
product is used by a folder of files and ``judged`` alone.
"""

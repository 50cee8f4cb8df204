"""Limits of what a centre may send: more than these is refused with a message that names the limit.

The largest of the ten centres has 2 MB of files and about 400,000 cells, and is read within 4 seconds and 300 MB of
memory. Each limit leaves at least a hundred times that, and keeps what a small hostile file can cost on a machine with
8 GB within bounds.

What does not belong here: what a reader does when it meets a limit (reading/), and the process it reads in (worker.py).
"""

#: Address space of the process that reads one centre. Libraries reserve about 4 GB that they do not use; a hundred
#: times the largest centre's files take about 3 GB more.
MOST_MEMORY_BYTES = 12_000_000_000
#: Processor time of that process: a hundred times the largest centre takes about 6 minutes.
MOST_CPU_SECONDS = 900
#: Time by the clock: a slow drive, and two centres at a time.
MOST_WALL_SECONDS = 1800

#: One file as sent, and all that is unpacked from one file: a hundred times the largest centre's files are 170 MB.
MOST_FILE_BYTES = 250_000_000
MOST_UNPACKED_BYTES = 500_000_000
#: How much larger an unpacked file may be than the packed one. Tables of text shrink to a tenth, XML of sheets to a
#: fiftieth; only a file made for it shrinks to less than a two-hundredth. Small files may: nothing is lost by them.
MOST_UNPACKED_RATIO, SPARED_UNPACKED_BYTES = 200, 20_000_000
#: Members of an archive, and files of a submission.
MOST_FILES = 10_000

#: Cells of a table, columns and rows. A hundred times the largest centre has 40 million cells in its largest table; a
#: sheet has at most 1,048,576 rows and 16,384 columns.
MOST_CELLS, MOST_COLUMNS, MOST_ROWS = 50_000_000, 16_384, 5_000_000

#: Levels of a JSON object or a YAML file; a spec has eight.
MOST_DEPTH = 50
#: A spec, and the declared corrections or answers: the largest spec has 6 KB.
MOST_SPEC_BYTES = 1_000_000
#: Nodes of a YAML file after its aliases are written out.
MOST_YAML_NODES = 200_000
#: Signs of a date format: the longest of use has thirty.
MOST_FORMAT_SIGNS = 60

"""Everything that Dagster shows and runs, a module a subject. Each asset reads, calls one function and writes.

Study logic belongs in the rooms below. Do not postpone annotations here: Dagster reads them when a module loads.
"""

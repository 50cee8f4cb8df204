"""Centres' files to study fields: what a centre declares (spec), how its files are read (read), how they become harmonised tables (harmonise, load).

What does not belong here: Dagster, dbt, or any rule of an outcome.
"""

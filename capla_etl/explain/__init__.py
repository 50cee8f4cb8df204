"""Lineage: from a printed number to its patients, from an outcome to its facts, from a fact to the cell that was read.

Nothing is derived here: dbt decides outcomes, ``capla_etl.stats`` computes numbers.
"""

"""Lineage: from a printed number to its patients, from an outcome to the facts that decided it, from a fact to the cell it was read from.

``cells`` finds the cells, ``patient`` and ``result`` answer the two questions, ``words`` says it in sentences, ``lookup`` finds what was meant.
Nothing is derived here: outcomes are decided in dbt, numbers in ``capla_etl.stats``.
"""

"""Centres' files to study fields: the spec (spec), reading files (reading), harmonised tables (harmonising), loads
(submissions), and a new centre's first spec (draft).
"""

"""The study's tables, by their numbers. Estimators are in ``capla_etl.stats``; layout is in ``capla_etl.report``."""

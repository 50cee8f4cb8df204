"""The study's figures and one patient's course. Numbers come ready; nothing is estimated here."""

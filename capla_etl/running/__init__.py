"""A run of the study in this process: the Dagster instance, the progress lines, the study itself."""

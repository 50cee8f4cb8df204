"""What may leave the study group."""

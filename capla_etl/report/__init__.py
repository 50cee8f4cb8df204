"""What readers see: figures, the report page, documents for authors, and differences between two states."""

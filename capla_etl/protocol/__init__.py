"""The protocol's parameters, the clinical definitions as written, and the document that clinicians sign."""

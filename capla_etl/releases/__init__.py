"""States of the study: variants, publishing, freezing, comparing, rebuilding, fingerprints."""

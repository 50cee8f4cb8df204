"""A centre's submissions: what arrived, where each centre stands, judged, loaded, assembled."""

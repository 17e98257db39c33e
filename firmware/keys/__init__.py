"""A station's keys: installed from a bundle, renewed in time. Not part of a running device."""

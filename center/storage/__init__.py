"""The store: everything that must survive a power cut, in one SQL database."""

"""Who works at the center: accounts, roles and what they may do, sessions, and how often somebody may try."""

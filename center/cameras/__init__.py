"""What cameras send: incidents, and the recordings that supervisors judge by."""

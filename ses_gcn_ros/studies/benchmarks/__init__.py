"""What things cost on this machine: one file per section, each with the same `run`."""

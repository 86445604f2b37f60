"""What things cost on this machine: a function for each section, of the section's name."""

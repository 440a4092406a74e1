"""What is looked at once a second while a run is on, and where the samples go."""

"""What a run will hold in memory, before any of it is there."""

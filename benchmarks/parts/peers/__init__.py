"""The job beside what one would use instead of it; ``measure`` compares, the other programs caption."""

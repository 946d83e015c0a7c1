"""What a reader sees: the picture of each pair, the figures, and the self-contained HTML report."""

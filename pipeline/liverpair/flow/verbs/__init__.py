"""What the single-purpose commands do; imported only when one is called, so that --help need not wait."""

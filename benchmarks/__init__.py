"""One command for each claim: `python -m benchmarks.NAME`; timings never decide a test."""

"""What `scripts/contract` sends, and what answers must be."""

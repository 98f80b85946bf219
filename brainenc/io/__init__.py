"""Safe bytes: downloads, archives, the store of finished steps, and readers and writers that never leave half a file."""

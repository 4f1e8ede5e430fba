"""All masks of a small shape as a map."""

"""Names and configs to objects, and back."""

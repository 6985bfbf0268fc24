"""Who is here, what they are doing, and who attended."""

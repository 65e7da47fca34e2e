"""What a stack is made of: one nameable thing per file, with the rights on it."""

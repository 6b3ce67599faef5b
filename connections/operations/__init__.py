"""What can be done with connections: one function per action."""

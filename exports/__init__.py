"""What is sent out over a connection, when, and what happened."""

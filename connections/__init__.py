"""What the company may talk to: connections, their secrets, consent and who may use them."""

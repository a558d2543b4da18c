"""What tools say of the inside of a host."""

"""What clouds say of where instances are."""

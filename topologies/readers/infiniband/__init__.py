"""What InfiniBand's tools say of a subnet."""

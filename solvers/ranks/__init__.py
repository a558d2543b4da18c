"""Place ranks on GPUs."""

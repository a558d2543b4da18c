"""Lower bounds that hold for every placement, whatever the size of the job."""

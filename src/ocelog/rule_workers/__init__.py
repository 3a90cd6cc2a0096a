"""Rules at work, in processes that may do nothing else."""

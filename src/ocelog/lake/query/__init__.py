"""SQL from outside, answered by a child process that may do nothing else."""

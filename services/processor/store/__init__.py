"""What Processor keeps in PostgreSQL: SQL stands here and nowhere else."""

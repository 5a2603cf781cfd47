"""What a job will take, from what former ones took: rows, time and dollars of each stage."""

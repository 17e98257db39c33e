"""What a check-up of any machine of ours needs: findings, checks with a time limit, and what the kernel tells."""

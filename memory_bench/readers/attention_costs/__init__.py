"""What attention costs with a kernel that holds no scores (on) and by the plain formula (off), and what a memory saves
beside it."""

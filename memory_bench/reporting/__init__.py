"""Records to reports. Nothing here runs a task, a memory or a reader."""

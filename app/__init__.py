"""What people see: the command line, the pages, the demo study. Holds no arithmetic."""

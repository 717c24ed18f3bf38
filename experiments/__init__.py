"""What people run: the command line, training and evaluation runs, suites, comparison and report."""

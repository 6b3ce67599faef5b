"""What can be done with exports and their runs, one function each."""

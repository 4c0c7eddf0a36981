"""What every room may use: checks of input, threads, files, archives, progress.

Nothing here knows of any other room but `sklsh.kernels`.
"""

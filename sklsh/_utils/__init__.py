"""What every room may use.

Input: `validation`, `numbers`, `containers`, `matrices`. Files: `files`, `archive`. Many at once:
`threads`, `locks`; `scratch` and `arrays` of theirs. `random` numbers, `progress` bars.

Nothing here knows of any other room but `sklsh.kernels`.
"""

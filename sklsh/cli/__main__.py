"""``python -m sklsh.cli``: the ``sklsh`` script."""

from sklsh.cli import main

if __name__ == "__main__":
    main()

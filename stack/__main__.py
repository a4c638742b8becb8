"""`python -m stack` is the command line `mailmesh`."""

from stack.cli import main

if __name__ == "__main__":
    main()

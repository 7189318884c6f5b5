"""`python -m nin_bench`."""

from nin_bench.cli import main

if __name__ == "__main__":
    main()

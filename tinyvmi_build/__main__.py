"""`python3 -m tinyvmi_build`."""

from .cli.main import main

main()

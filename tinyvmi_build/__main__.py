"""`python3 -m tinyvmi_build`."""

from tinyvmi_build.cli.main import main

main()

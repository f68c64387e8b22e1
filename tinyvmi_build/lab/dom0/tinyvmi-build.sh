#!/bin/sh
# The command as pip would install it.
exec python3 -c 'import sys; from tinyvmi_build.cli.main import main; sys.exit(main())' "$@"

"""The dom0 side: xl, xenstore, privilege, console.  Standard library only: any dom0 can run it."""

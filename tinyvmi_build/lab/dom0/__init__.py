"""What runs in the lab's dom0: init.sh and the agent."""

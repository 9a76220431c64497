"""What every job shares: arguments, configuration, session, Delta tables, ledger, logs, exit codes."""
